//! The labels of a series: the pairs within its braces, and what they have in common with those of
//! the series before (SPEC 1.3, 5).
//!
//! ```text
//! pairs  = [ pair *( "," pair ) [ "," ] ] "}"
//! pair   = ( name | quoted ) "=" quoted
//! ```
//!
//! Blanks may stand between any two of these, but not within names and quoted texts.
//!
//! This is where most of the delta of a text body is found. The reader knows where the last values
//! are, and compares bytes before it reads any:
//!
//! ```text
//! last   cpu="0",mode="idle",host="a"}
//! this   cpu="0",mode="user",host="a"}
//!        └── same ──┘            1. the pairs that lie whole within what is the same are kept
//!                      └──┘      2. a value that differs is read,
//!                          └────┘   and what is between it and the next one is compared
//! ```
//!
//! As long as that holds, the names need not be read again. What follows is read by the grammar.
//! The places of values are offsets from the first pair, so that those of kept pairs are right for
//! the new series too.

use super::super::delta::{Delta, Kept, Likeness};
use super::super::error::{Error, ErrorKind};
use super::super::name;
use super::super::reuse::emptied;
use super::cursor::Cursor;
use super::quoted::{UnknownEscape, quoted_name, quoted_value};
use crate::push::sample::{Label, Names};
use std::borrow::Cow;

/// Reads the pairs of one series after the other.
#[derive(Clone, Debug)]
pub(super) struct PairReader<'a> {
    pub(super) names: Names,
    pub(super) unknown_escape: UnknownEscape,
    pub(super) labels: Vec<Label<'a>>,
    /// Where the value of each label is.
    values: Vec<ValueSpan>,
    /// Where the pairs begin that were read last, and where they end, after the closing brace:
    /// offsets in the body.
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The memory of a reader of pairs.
#[derive(Debug, Default)]
pub(super) struct PairMemory {
    labels: Vec<Label<'static>>,
    values: Vec<ValueSpan>,
}

/// Where a value is: offsets from the first pair.
#[derive(Clone, Copy, Debug)]
struct ValueSpan {
    /// After its opening quote.
    start: usize,
    /// After its closing quote.
    end: usize,
}

/// What follows a pair, or a name, in braces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Separator {
    /// Another pair may follow, or the closing brace.
    Comma,
    /// The closing brace.
    Brace,
}

impl<'a> PairReader<'a> {
    pub(super) fn new(names: Names, unknown_escape: UnknownEscape) -> PairReader<'a> {
        let (labels, values) = (Vec::new(), Vec::new());
        PairReader { names, unknown_escape, labels, values, start: 0, end: 0 }
    }

    /// Uses memory again.
    pub(super) fn move_in(&mut self, memory: &mut PairMemory) {
        let PairMemory { labels, values } = std::mem::take(memory);
        (self.labels, self.values) = (emptied(labels), emptied(values));
    }

    /// The memory that was used.
    pub(super) fn move_out(self) -> PairMemory {
        PairMemory { labels: emptied(self.labels), values: emptied(self.values) }
    }

    /// There are no labels, and nothing to compare the next pairs with.
    pub(super) fn forget(&mut self) {
        self.labels.clear();
        self.values.clear();
        (self.start, self.end) = (0, 0);
    }

    /// The pairs after an opening brace, compared with nothing.
    pub(super) fn read_anew(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Error> {
        self.forget();
        self.read(cursor, 0).map(|_| ())
    }

    /// The pairs after an opening brace, of which the first `same` bytes are known to be those of
    /// the last pairs: what they have in common with those.
    #[inline(always)]
    pub(super) fn read(&mut self, cursor: &mut Cursor<'a>, same: usize) -> Result<Delta, Error> {
        let start = cursor.at();
        // Looked for from the end: as a rule the last pair differs, or the one before.
        let last_kept = self.values.iter().rposition(|value| value.end <= same);
        let kept = last_kept.map_or(0, |index| index + 1);
        // As a rule only the last value differs, and the brace follows at once.
        let changed = (self.values.get_mut(kept..), self.labels.get_mut(kept..));
        if let (Some([span]), Some([label])) = changed
            && span.start <= same
        {
            // A local copy of the cursor stays in registers.
            let body = *cursor;
            let (value, after) =
                quoted_value(body.moved_to(start + span.start - 1), self.unknown_escape)?;
            let likeness = likeness_of(!value.is_empty() && !label.value.is_empty());
            label.value = value;
            span.end = after - start;
            if body.moved_to(after).peek() == b'}' {
                (self.start, self.end) = (start, after + 1);
                cursor.move_to(after + 1);
                return Ok(Delta { kept: Kept::first(kept), likeness });
            }
            cursor.move_to(after);
            let delta = Delta { kept: Kept::first(kept), likeness };
            return self.read_rest(cursor, start, kept + 1, delta);
        }
        self.read_values(cursor, same, kept)
    }

    /// The same where the first `kept` pairs are those of the last series, and more than one
    /// follows: their values, as long as their names are the known ones.
    #[inline(never)]
    fn read_values(
        &mut self,
        cursor: &mut Cursor<'a>,
        same: usize,
        kept: usize,
    ) -> Result<Delta, Error> {
        let (old_start, start) = (self.start, cursor.at());
        if kept > 0 && same == self.end - old_start {
            // All of them, with the brace.
            (self.start, self.end) = (start, start + same);
            cursor.skip(same);
            return Ok(Delta { kept: Kept::first(kept), likeness: Likeness::Family });
        }
        let last_kept = kept.checked_sub(1).and_then(|index| self.values.get(index));
        let mut old_end = last_kept.map_or(0, |value| value.end);
        let body = *cursor;
        let mut at = start + old_end;
        let mut known_names = kept;
        let mut have_values = true;
        while let (Some(span), Some(label)) =
            (self.values.get_mut(known_names), self.labels.get_mut(known_names))
        {
            let gap = span.start - old_end;
            // The gap before the first value that differs is compared already, as a rule.
            let is_compared = known_names == kept && span.start <= same;
            if !is_compared && body.moved_to(at).same_as(old_start + old_end, gap) < gap {
                break;
            }
            old_end = span.end;
            let opening = body.moved_to(at + gap - 1);
            span.start = at + gap - start;
            let had_value = !label.value.is_empty();
            (label.value, at) = quoted_value(opening, self.unknown_escape)?;
            have_values &= had_value && !label.value.is_empty();
            span.end = at - start;
            known_names += 1;
        }
        cursor.move_to(at);
        let delta = Delta { kept: Kept::first(kept), likeness: likeness_of(have_values) };
        self.read_rest(cursor, start, known_names, delta)
    }

    /// The pairs after the first `known_names`, which have the names of the last series.
    #[inline(never)]
    fn read_rest(
        &mut self,
        cursor: &mut Cursor<'a>,
        start: usize,
        known_names: usize,
        delta: Delta,
    ) -> Result<Delta, Error> {
        let lacks_names = known_names < self.labels.len();
        self.start = start;
        self.values.truncate(known_names);
        self.labels.truncate(known_names);
        if self.labels.is_empty() || separator(cursor)? == Separator::Comma {
            self.read_by_grammar(cursor)?;
        }
        self.end = cursor.at();
        let has_new_names = self.labels.len() > known_names;
        if has_new_names && let Some((index, kind)) = name::duplicate(&self.labels) {
            return Err(self.pair_at(*cursor, index).error(kind));
        }
        let likeness =
            if lacks_names || has_new_names { Likeness::Unknown } else { delta.likeness };
        Ok(Delta { likeness, ..delta })
    }

    /// `[ pair *( "," pair ) [ "," ] ] "}"`
    fn read_by_grammar(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Error> {
        loop {
            cursor.skip_blanks();
            if cursor.peek() == b'}' {
                cursor.advance();
                return Ok(());
            }
            self.pair(cursor)?;
            if separator(cursor)? == Separator::Brace {
                return Ok(());
            }
        }
    }

    /// Where the label `index` begins in the body of `cursor`.
    #[cold]
    pub(super) fn pair_at(&self, cursor: Cursor<'a>, index: usize) -> Cursor<'a> {
        let before = index.checked_sub(1).and_then(|index| self.values.get(index));
        let mut at = cursor.moved_to(self.start + before.map_or(0, |value| value.end));
        while matches!(at.peek(), b' ' | b'\t' | b',') {
            at.advance();
        }
        at
    }

    /// `pair = ( name | quoted ) "=" quoted`
    #[inline(always)]
    pub(super) fn pair(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Error> {
        let name = match cursor.peek() {
            b'"' => self.quoted_label_name(cursor)?,
            _ => Cow::Borrowed(bare_label_name(cursor)?),
        };
        cursor.skip_blanks();
        if cursor.peek() != b'=' {
            return Err(cursor.unexpected("= after the label name"));
        }
        cursor.advance();
        cursor.skip_blanks();
        if cursor.peek() != b'"' {
            return Err(cursor.unexpected("a quoted label value"));
        }
        let value_start = cursor.at() + 1 - self.start;
        let (value, after) = quoted_value(*cursor, self.unknown_escape)?;
        cursor.move_to(after);
        self.labels.push(Label { name, value });
        self.values.push(ValueSpan { start: value_start, end: after - self.start });
        Ok(())
    }

    #[cold]
    fn quoted_label_name(&self, cursor: &mut Cursor<'a>) -> Result<Cow<'a, str>, Error> {
        let start = *cursor;
        let name = quoted_name(cursor, self.unknown_escape)?;
        cursor.skip_blanks();
        if cursor.peek() != b'=' {
            return Err(start.error(ErrorKind::MisplacedName));
        }
        name::check_label(&name, self.names).map_err(|kind| start.error(kind))?;
        Ok(name)
    }
}

/// The likeness of pairs with the names of those before, as far as the pairs show it.
#[inline(always)]
fn likeness_of(have_values: bool) -> Likeness {
    if have_values { Likeness::Family } else { Likeness::Unknown }
}

#[inline(always)]
fn bare_label_name<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, Error> {
    let start = *cursor;
    match cursor.label_name() {
        "" => Err(start.unexpected("a label name or }")),
        name::RESERVED_LABEL => Err(start.error(ErrorKind::ReservedLabel)),
        name => Ok(name),
    }
}

/// What ends a pair or a name in braces.
#[inline(always)]
pub(super) fn separator(cursor: &mut Cursor<'_>) -> Result<Separator, Error> {
    cursor.skip_blanks();
    let separator = match cursor.peek() {
        b',' => Separator::Comma,
        b'}' => Separator::Brace,
        _ => return Err(cursor.unexpected("a comma or } after the label")),
    };
    cursor.advance();
    Ok(separator)
}
