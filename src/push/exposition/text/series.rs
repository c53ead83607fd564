//! What a sample is called: names, quoted texts and labels of the text formats (SPEC 1.3, 5).
//!
//! ```text
//! series  = name [ blanks labels ] | "{" quoted [ "," ] "}" | "{" quoted "," pairs "}"
//! labels  = "{" pairs "}"
//! pairs   = [ pair *( "," pair ) [ "," ] ]
//! pair    = ( name | quoted ) "=" quoted
//! quoted  = DQUOTE *( plain | "\\" | "\" DQUOTE | "\n" ) DQUOTE
//! ```
//!
//! Blanks may stand between any two of these, but not within names and quoted texts.
//!
//! Most series differ from the one before in a few bytes. So the two are compared first: the name
//! and the pairs that lie whole within what is the same are taken over. Behind them, what stands
//! between two values is compared as a whole, and only the values are read, as long as it is the
//! same.

use super::super::name;
use super::super::reuse::emptied;
use super::super::{Error, ErrorKind};
use super::cursor::Cursor;
use super::quoted::{UnknownEscape, quoted_value};
use crate::push::sample::{Label, Names, Text};
use std::borrow::Cow;

/// What a sample is called.
#[derive(Clone, Debug)]
pub(super) struct SeriesDelta<'a> {
    /// None where it is that of the series before.
    pub(super) name: Option<Cow<'a, str>>,
    pub(super) pairs: Pairs,
}

/// What labels have in common with those of the series before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pairs {
    /// So many of the first are the same.
    pub(super) kept: usize,
    /// All have the same names, and none of those that changed is empty.
    pub(super) are_alike: bool,
}

/// Reads what a sample is called.
#[derive(Clone, Debug)]
pub(super) struct SeriesReader<'a> {
    pub(super) cursor: Cursor<'a>,
    pub(super) names: Names,
    unknown_escape: UnknownEscape,
    pub(super) labels: Vec<Label<'a>>,
    /// Where each of the labels stands.
    places: Vec<ValueSpan>,
    pub(super) last: Last,
    /// The series before had no braces.
    pub(super) was_bare: bool,
    /// The series before had its name after a label.
    pub(super) had_name_among_pairs: bool,
    /// Where the name stands that is expected next: its offset in the body and its bytes.
    expected: (usize, usize),
}

/// The memory of a reader of series.
#[derive(Debug, Default)]
pub(super) struct SeriesRoom {
    labels: Vec<Label<'static>>,
    places: Vec<ValueSpan>,
}

/// Where a pair stands: offsets from the first of its pairs.
#[derive(Clone, Copy, Debug)]
struct ValueSpan {
    /// Behind the opening quote of the value.
    value: usize,
    /// Behind its closing quote.
    end: usize,
}

/// Where the series stands that was read last: offsets in the body.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Last {
    /// Where its name begins; `pairs` where the name is in the braces.
    pub(super) name: usize,
    /// After the opening brace, or the name that is first in the braces.
    pub(super) pairs: usize,
    /// After the closing brace.
    pub(super) end: usize,
}

impl<'a> SeriesReader<'a> {
    /// Reads from `cursor` on.
    pub(super) fn new(
        cursor: Cursor<'a>,
        names: Names,
        unknown_escape: UnknownEscape,
    ) -> SeriesReader<'a> {
        SeriesReader {
            cursor,
            names,
            unknown_escape,
            labels: Vec::new(),
            places: Vec::new(),
            last: Last::default(),
            was_bare: false,
            had_name_among_pairs: false,
            expected: (0, 0),
        }
    }

    /// Uses memory again.
    pub(super) fn move_in(&mut self, room: &mut SeriesRoom) {
        let SeriesRoom { labels, places } = std::mem::take(room);
        (self.labels, self.places) = (emptied(labels), emptied(places));
    }

    /// The memory that was used.
    pub(super) fn move_out(self) -> SeriesRoom {
        SeriesRoom { labels: emptied(self.labels), places: emptied(self.places) }
    }

    /// Which names are allowed where they are quoted.
    pub(super) fn names(&self) -> Names {
        self.names
    }

    /// The labels of the series that was read last.
    #[inline]
    pub(super) fn labels(&self) -> &[Label<'a>] {
        &self.labels
    }

    /// Reads a series.
    #[inline(always)]
    pub(super) fn series(&mut self) -> Result<SeriesDelta<'a>, Error> {
        let Last { name: last_name, pairs: last_pairs, end: last_end } = self.last;
        let head_len = last_pairs - last_name;
        let same = self.cursor.same_as(last_name, last_end - last_name);
        if head_len == 0 || same < head_len {
            return self.series_of_other_name();
        }
        self.last.name = self.cursor.at();
        self.cursor.skip(head_len);
        let pairs = self.pairs_after(same - head_len)?;
        Ok(SeriesDelta { name: None, pairs })
    }

    /// The same where the name is not that of the series before. The pairs may be.
    #[inline(never)]
    fn series_of_other_name(&mut self) -> Result<SeriesDelta<'a>, Error> {
        if self.cursor.peek() == b'{' {
            return self.series_in_braces();
        }
        let start = self.cursor;
        let (expected, len) = self.expected;
        if len > 0 && self.cursor.same_as(expected, len) == len {
            self.cursor.skip(len);
            self.cursor.rest_of_metric_name();
        } else {
            self.cursor.metric_name();
        }
        let name = self.cursor.since(start.at());
        if name.is_empty() {
            return Err(self.cursor.unexpected("a metric name"));
        }
        match self.cursor.peek() {
            b'{' => {}
            b' ' | b'\t' => self.cursor.skip_blanks(),
            _ if self.cursor.is_at_line_end() => {}
            _ => return Err(self.cursor.unexpected("a blank or { behind the metric name")),
        }
        if self.had_name_among_pairs {
            self.forget();
        }
        let name_end = start.at() + name.len();
        let was_bare = std::mem::replace(&mut self.was_bare, self.cursor.peek() != b'{');
        let pairs = if !self.was_bare {
            self.cursor.advance();
            self.last.name = start.at();
            let Last { pairs, end, .. } = self.last;
            self.pairs_after(self.cursor.same_as(pairs, end - pairs))?
        } else {
            self.forget();
            // The blanks belong to the value.
            self.cursor.move_to(name_end);
            Pairs { kept: 0, are_alike: was_bare }
        };
        Ok(SeriesDelta { name: Some(Cow::Borrowed(name)), pairs })
    }

    /// The next series has its name read, whatever it is: it may begin with the bare name that
    /// stands at `start` in so many bytes.
    pub(super) fn expect_name(&mut self, start: usize, len: usize) {
        self.last.name = self.last.pairs;
        self.expected = (start, len);
    }

    /// There are no labels, and nothing to compare the next series with.
    pub(super) fn forget(&mut self) {
        self.labels.clear();
        self.places.clear();
        self.last = Last::default();
        self.had_name_among_pairs = false;
    }

    /// `pairs "}"`, behind their opening brace.
    pub(super) fn pairs(&mut self) -> Result<(), Error> {
        self.forget();
        self.pairs_after(0).map(|_| ())
    }

    /// The same where the first `same` bytes are those of the series before.
    #[inline(always)]
    pub(super) fn pairs_after(&mut self, same: usize) -> Result<Pairs, Error> {
        let start = self.cursor.at();
        // Looked for from behind: mostly the last pair differs, or the one before.
        let last_kept = self.places.iter().rposition(|place| place.end <= same);
        let kept = last_kept.map_or(0, |index| index + 1);
        // As a rule only the last value differs, and the brace follows at once.
        let changed = (self.places.get_mut(kept..), self.labels.get_mut(kept..));
        if let (Some([place]), Some([label])) = changed
            && place.value <= same
        {
            // A place apart, which no call can change behind the compiler's back, stays in a
            // register.
            let body = self.cursor;
            let opening = body.moved_to(start + place.value - 1);
            let (value, behind) = quoted_value(opening, self.unknown_escape)?;
            let has_value = !value.is_empty();
            label.value = value;
            place.end = behind - start;
            if body.moved_to(behind).peek() == b'}' {
                (self.last.pairs, self.last.end) = (start, behind + 1);
                self.cursor.move_to(behind + 1);
                return Ok(Pairs { kept, are_alike: has_value });
            }
            self.cursor.move_to(behind);
            return self.pairs_behind(start, kept, kept + 1, has_value);
        }
        self.known_pairs(same, kept)
    }

    /// The same where the first `kept` pairs are those of the series before, and more than the last
    /// one is not.
    #[inline(never)]
    fn known_pairs(&mut self, same: usize, kept: usize) -> Result<Pairs, Error> {
        let (old_start, start) = (self.last.pairs, self.cursor.at());
        let last_kept = kept.checked_sub(1).and_then(|index| self.places.get(index));
        let mut old_end = last_kept.map_or(0, |place| place.end);
        let body = self.cursor;
        let mut at = start + old_end;
        let mut known_names = kept;
        let mut have_values = true;
        while let (Some(place), Some(label)) =
            (self.places.get_mut(known_names), self.labels.get_mut(known_names))
        {
            let gap = place.value - old_end;
            // The gap before the first value that differs has been compared as a rule.
            let is_compared = known_names == kept && place.value <= same;
            if !is_compared && body.moved_to(at).same_as(old_start + old_end, gap) < gap {
                break;
            }
            old_end = place.end;
            let opening = body.moved_to(at + gap - 1);
            place.value = at + gap - start;
            (label.value, at) = quoted_value(opening, self.unknown_escape)?;
            have_values &= !label.value.is_empty();
            place.end = at - start;
            known_names += 1;
        }
        self.cursor.move_to(at);
        self.pairs_behind(start, kept, known_names, have_values)
    }

    /// The same behind the first pairs whose names are known, which are there.
    #[inline(never)]
    fn pairs_behind(
        &mut self,
        start: usize,
        kept: usize,
        known_names: usize,
        have_values: bool,
    ) -> Result<Pairs, Error> {
        let have_same_names = known_names == self.labels.len();
        self.last.pairs = start;
        self.places.truncate(known_names);
        self.labels.truncate(known_names);
        self.rest_of_pairs(start)?;
        self.last.end = self.cursor.at();
        let has_new_names = self.labels.len() > known_names;
        if has_new_names && let Some((index, kind)) = name::duplicate(&self.labels) {
            return Err(self.pair_at(index).error(kind));
        }
        Ok(Pairs { kept, are_alike: have_same_names && have_values && !has_new_names })
    }

    /// What follows the pairs that are known. The first of all begins at `start`.
    #[inline(never)]
    fn rest_of_pairs(&mut self, start: usize) -> Result<(), Error> {
        if !self.labels.is_empty() && self.separator()? == Separator::Brace {
            return Ok(());
        }
        self.new_pairs(start)
    }

    /// `[ pair *( "," pair ) [ "," ] ] "}"`
    fn new_pairs(&mut self, start: usize) -> Result<(), Error> {
        loop {
            self.cursor.skip_blanks();
            if self.cursor.peek() == b'}' {
                self.cursor.advance();
                return Ok(());
            }
            self.pair(start)?;
            if self.separator()? == Separator::Brace {
                return Ok(());
            }
        }
    }

    /// Where the label `index` begins.
    #[cold]
    pub(super) fn pair_at(&self, index: usize) -> Cursor<'a> {
        let before = index.checked_sub(1).and_then(|index| self.places.get(index));
        let mut cursor = self.cursor.moved_to(self.last.pairs + before.map_or(0, |pair| pair.end));
        while matches!(cursor.peek(), b' ' | b'\t' | b',') {
            cursor.advance();
        }
        cursor
    }

    /// What ends a pair or a name in braces.
    #[inline(always)]
    pub(super) fn separator(&mut self) -> Result<Separator, Error> {
        self.cursor.skip_blanks();
        let separator = match self.cursor.peek() {
            b',' => Separator::Comma,
            b'}' => Separator::Brace,
            _ => return Err(self.cursor.unexpected("a comma or } behind the label")),
        };
        self.cursor.advance();
        Ok(separator)
    }

    #[inline(always)]
    pub(super) fn pair(&mut self, pairs: usize) -> Result<(), Error> {
        let name = match self.cursor.peek() {
            b'"' => self.quoted_label_name()?,
            _ => Cow::Borrowed(self.bare_label_name()?),
        };
        self.cursor.skip_blanks();
        if self.cursor.peek() != b'=' {
            return Err(self.cursor.unexpected("= behind the label name"));
        }
        self.cursor.advance();
        self.cursor.skip_blanks();
        if self.cursor.peek() != b'"' {
            return Err(self.cursor.unexpected("a quoted label value"));
        }
        let value_start = self.cursor.at() + 1 - pairs;
        let (value, behind) = quoted_value(self.cursor, self.unknown_escape)?;
        self.cursor.move_to(behind);
        self.labels.push(Label { name, value });
        self.places.push(ValueSpan { value: value_start, end: self.cursor.at() - pairs });
        Ok(())
    }

    #[inline(always)]
    fn bare_label_name(&mut self) -> Result<&'a str, Error> {
        let start = self.cursor;
        match self.cursor.label_name() {
            "" => Err(start.unexpected("a label name or }")),
            name::RESERVED_LABEL => Err(start.error(ErrorKind::ReservedLabel)),
            name => Ok(name),
        }
    }

    #[cold]
    fn quoted_label_name(&mut self) -> Result<Cow<'a, str>, Error> {
        let start = self.cursor;
        let name = self.quoted()?;
        self.cursor.skip_blanks();
        if self.cursor.peek() != b'=' {
            return Err(start.error(ErrorKind::MisplacedName));
        }
        name::check_label(&name, self.names).map_err(|kind| start.error(kind))?;
        Ok(name)
    }

    /// A quoted text, whose opening quote is here; owned only if it has escapes.
    #[inline(always)]
    pub(super) fn quoted(&mut self) -> Result<Cow<'a, str>, Error> {
        let (value, behind) = quoted_value(self.cursor, self.unknown_escape)?;
        self.cursor.move_to(behind);
        Ok(match value {
            Text::Within { rest, len } => Cow::Borrowed(rest.get(..len).unwrap_or_default()),
            Text::Owned(text) => Cow::Owned(text),
        })
    }
}

impl Pairs {
    /// Nothing is known to be the same.
    pub(super) const UNLIKE: Pairs = Pairs { kept: 0, are_alike: false };
}

/// What stands behind a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Separator {
    /// Another pair may follow, or the closing brace.
    Comma,
    /// The closing brace.
    Brace,
}
