//! What a sample is called: its metric name and its labels (SPEC 1.3, 5).
//!
//! ```text
//! series  = name [ blanks "{" pairs "}" ] | "{" items "}"
//! ```
//!
//! The pairs are read in `pairs`, what is in braces without a name before them in `braces`.
//!
//! The name is compared with that of the series before it is read, and as a rule is the same, with
//! some of the pairs after it. Where it is another one, it may begin with the name in a TYPE line
//! just before.

use super::super::delta::{Delta, Kept, Likeness};
use super::super::error::Error;
use super::cursor::Cursor;
use super::pairs::{PairMemory, PairReader};
use super::quoted::UnknownEscape;
use crate::push::sample::{Label, Names};
use std::borrow::Cow;

/// What a sample is called, as far as it differs from the one before.
#[derive(Clone, Debug)]
pub(super) struct SeriesRead<'a> {
    /// None where it is that of the series before.
    pub(super) name: Option<Cow<'a, str>>,
    /// What the labels have in common with those of the series before: all that the two have in
    /// common, as far as the labels show it.
    pub(super) delta: Delta,
}

/// Reads what samples are called, one after the other.
#[derive(Clone, Debug)]
pub(super) struct SeriesReader<'a> {
    pub(super) pairs: PairReader<'a>,
    /// Where the name of the last series begins, as an offset in the body; where its pairs do, if
    /// the next name must be read whatever it is.
    pub(super) name_start: usize,
    /// The last series had no braces.
    pub(super) was_bare: bool,
    /// The last series had its name after a label.
    pub(super) had_name_among_pairs: bool,
    /// The name in the last TYPE line: its offset in the body and its bytes.
    expected: (usize, usize),
}

impl<'a> SeriesReader<'a> {
    /// Reads with these rules for names and escapes.
    pub(super) fn new(names: Names, unknown_escape: UnknownEscape) -> SeriesReader<'a> {
        SeriesReader {
            pairs: PairReader::new(names, unknown_escape),
            name_start: 0,
            was_bare: false,
            had_name_among_pairs: false,
            expected: (0, 0),
        }
    }

    /// Uses memory again.
    pub(super) fn move_in(&mut self, memory: &mut PairMemory) {
        self.pairs.move_in(memory);
    }

    /// The memory that was used.
    pub(super) fn move_out(self) -> PairMemory {
        self.pairs.move_out()
    }

    /// The labels of the series that was read last.
    #[inline]
    pub(super) fn labels(&self) -> &[Label<'a>] {
        &self.pairs.labels
    }

    /// Reads a series.
    #[inline(always)]
    pub(super) fn read(&mut self, cursor: &mut Cursor<'a>) -> Result<SeriesRead<'a>, Error> {
        let name_len = self.pairs.start - self.name_start;
        let same = cursor.same_as(self.name_start, self.pairs.end - self.name_start);
        if name_len == 0 || same < name_len {
            return self.read_other_name(cursor);
        }
        self.name_start = cursor.at();
        cursor.skip(name_len);
        let delta = self.pairs.read(cursor, same - name_len)?;
        Ok(SeriesRead { name: None, delta })
    }

    /// The same where the name is not that of the series before. The pairs may be.
    #[inline(never)]
    fn read_other_name(&mut self, cursor: &mut Cursor<'a>) -> Result<SeriesRead<'a>, Error> {
        if cursor.peek() == b'{' {
            return self.read_braces(cursor);
        }
        let is_comparable = !self.had_name_among_pairs;
        if !is_comparable {
            self.forget();
        }
        let start = *cursor;
        let (expected, len) = self.expected;
        if len > 0 && cursor.same_as(expected, len) == len {
            cursor.skip(len);
            cursor.rest_of_metric_name();
        } else {
            cursor.metric_name();
        }
        let name = cursor.since(start.at());
        if name.is_empty() {
            return Err(cursor.unexpected("a metric name"));
        }
        match cursor.peek() {
            b'{' => {}
            b' ' | b'\t' => cursor.skip_blanks(),
            _ if cursor.is_at_line_end() => {}
            _ => return Err(cursor.unexpected("a blank or { after the metric name")),
        }
        let name_end = start.at() + name.len();
        let was_bare = std::mem::replace(&mut self.was_bare, cursor.peek() != b'{');
        let delta = if self.was_bare {
            self.forget();
            // The blanks belong to the value.
            cursor.move_to(name_end);
            let likeness = if was_bare { Likeness::Family } else { Likeness::Unknown };
            Delta { kept: Kept::NONE, likeness }
        } else {
            cursor.advance();
            self.name_start = start.at();
            let PairReader { start, end, .. } = self.pairs;
            let delta = self.pairs.read(cursor, cursor.same_as(start, end - start))?;
            // Labels that are forgotten were there all the same.
            if is_comparable { delta } else { Delta::UNKNOWN }
        };
        Ok(SeriesRead { name: Some(Cow::Borrowed(name)), delta })
    }

    /// The next name is read, whatever it is: it may begin with the bare name that is at `start`,
    /// in so many bytes.
    pub(super) fn expect_name(&mut self, start: usize, len: usize) {
        self.name_start = self.pairs.start;
        self.expected = (start, len);
    }

    /// There are no labels, and nothing to compare the next series with.
    pub(super) fn forget(&mut self) {
        self.had_name_among_pairs = false;
        self.pairs.forget();
        self.name_start = 0;
    }
}
