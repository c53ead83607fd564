//! Series whose metric name is quoted in the braces (text 1.0.0): `{"name", a="b"} 1`.
//!
//! The name may come at any place, once. As a rule it comes first, and then the pairs after it are
//! those of any other series.

use super::super::{Error, ErrorKind, name};
use super::cursor::Cursor;
use super::series::{Pairs, Separator, SeriesDelta, SeriesReader};
use std::borrow::Cow;

impl<'a> SeriesReader<'a> {
    /// `"{" blanks quoted blanks ( "}" | "," pairs "}" )`, or the name after a label.
    pub(super) fn series_in_braces(&mut self) -> Result<SeriesDelta<'a>, Error> {
        self.forget();
        self.was_bare = false;
        let brace = self.cursor;
        self.cursor.advance();
        let Some(name) = self.quoted_metric_name()? else {
            return self.series_with_name_among_pairs(brace);
        };
        if self.separator()? == Separator::Comma {
            self.last.name = self.cursor.at();
            self.pairs_after(0)?;
        }
        Ok(SeriesDelta { name: Some(name), pairs: Pairs::UNLIKE })
    }

    /// `"{" *( pair "," ) quoted *( "," pair ) [ "," ] "}"`: rare, so nothing of it serves the next
    /// series.
    #[cold]
    fn series_with_name_among_pairs(
        &mut self,
        brace: Cursor<'a>,
    ) -> Result<SeriesDelta<'a>, Error> {
        let start = brace.at() + 1;
        (self.last.name, self.last.pairs) = (start, start);
        self.had_name_among_pairs = true;
        let mut name = None;
        loop {
            self.cursor.skip_blanks();
            if self.cursor.peek() == b'}' {
                self.cursor.advance();
                break;
            }
            let item = self.cursor;
            match self.quoted_metric_name()? {
                Some(_) if name.is_some() => return Err(item.error(ErrorKind::MisplacedName)),
                Some(found) => name = Some(found),
                None => self.pair(start)?,
            }
            if self.separator()? == Separator::Brace {
                break;
            }
        }
        self.last.end = self.cursor.at();
        if let Some((index, kind)) = name::duplicate(&self.labels) {
            return Err(self.pair_at(index).error(kind));
        }
        match name {
            Some(name) => Ok(SeriesDelta { name: Some(name), pairs: Pairs::UNLIKE }),
            None => Err(brace.unexpected("a metric name, before the braces or quoted in them")),
        }
    }

    /// `blanks quoted blanks` where no `=` follows; else nothing but the blanks is read.
    fn quoted_metric_name(&mut self) -> Result<Option<Cow<'a, str>>, Error> {
        self.cursor.skip_blanks();
        let start = self.cursor;
        if start.peek() != b'"' {
            return Ok(None);
        }
        let name = self.quoted()?;
        self.cursor.skip_blanks();
        if self.cursor.peek() == b'=' {
            self.cursor = start;
            return Ok(None);
        }
        name::check_metric(&name, self.names).map_err(|kind| start.error(kind))?;
        Ok(Some(name))
    }
}
