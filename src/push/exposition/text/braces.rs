//! Series whose metric name is quoted in the braces (text 1.0.0): `{"name", a="b"} 1`.
//!
//! The name may come at any place, once. As a rule it comes first, and then the pairs after it are
//! those of any other series.

use super::super::delta::Delta;
use super::super::error::{Error, ErrorKind};
use super::super::name;
use super::cursor::Cursor;
use super::pairs::{Separator, separator};
use super::quoted::quoted_name;
use super::series::{SeriesRead, SeriesReader};
use std::borrow::Cow;

impl<'a> SeriesReader<'a> {
    /// `"{" blanks quoted blanks ( "}" | "," pairs "}" )`, or the name after a label.
    pub(super) fn read_braces(&mut self, cursor: &mut Cursor<'a>) -> Result<SeriesRead<'a>, Error> {
        self.forget();
        self.was_bare = false;
        let brace = *cursor;
        cursor.advance();
        let Some(name) = self.quoted_metric_name(cursor)? else {
            return self.read_name_among_pairs(cursor, brace);
        };
        if separator(cursor)? == Separator::Comma {
            self.name_start = cursor.at();
            self.pairs.read(cursor, 0)?;
        }
        Ok(SeriesRead { name: Some(name), delta: Delta::UNKNOWN })
    }

    /// `"{" *( pair "," ) quoted *( "," pair ) [ "," ] "}"`: rare, so nothing of it serves the next
    /// series.
    #[cold]
    fn read_name_among_pairs(
        &mut self,
        cursor: &mut Cursor<'a>,
        brace: Cursor<'a>,
    ) -> Result<SeriesRead<'a>, Error> {
        (self.name_start, self.pairs.start) = (brace.at() + 1, brace.at() + 1);
        self.had_name_among_pairs = true;
        let mut name = None;
        loop {
            cursor.skip_blanks();
            if cursor.peek() == b'}' {
                cursor.advance();
                break;
            }
            let item = *cursor;
            match self.quoted_metric_name(cursor)? {
                Some(_) if name.is_some() => return Err(item.error(ErrorKind::MisplacedName)),
                Some(found) => name = Some(found),
                None => self.pairs.pair(cursor)?,
            }
            if separator(cursor)? == Separator::Brace {
                break;
            }
        }
        self.pairs.end = cursor.at();
        if let Some((index, kind)) = name::duplicate(&self.pairs.labels) {
            return Err(self.pairs.pair_at(*cursor, index).error(kind));
        }
        match name {
            Some(name) => Ok(SeriesRead { name: Some(name), delta: Delta::UNKNOWN }),
            None => Err(brace.unexpected("a metric name, before the braces or quoted in them")),
        }
    }

    /// `blanks quoted blanks` where no `=` follows; else only the blanks are read.
    fn quoted_metric_name(&self, cursor: &mut Cursor<'a>) -> Result<Option<Cow<'a, str>>, Error> {
        cursor.skip_blanks();
        let start = *cursor;
        if start.peek() != b'"' {
            return Ok(None);
        }
        let name = quoted_name(cursor, self.pairs.unknown_escape)?;
        cursor.skip_blanks();
        if cursor.peek() == b'=' {
            *cursor = start;
            return Ok(None);
        }
        name::check_metric(&name, self.pairs.names).map_err(|kind| start.error(kind))?;
        Ok(Some(name))
    }
}
