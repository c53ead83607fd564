//! Point → bytes: escaping and numbers (SPEC 2.3, 2.4).
//!
//! ```text
//! line = measurement *( "," key "=" value ) blank field "=" number [ "," field "=" number ]
//!        blank timestamp LF
//! ```
//!
//! An [`Encoder`] belongs to a worker and writes the lines of one push after the other into a
//! buffer that crosses to the output as it is. URL labels are escaped once a push. `_sum` and
//! `_count` of one series share a line: the second finds that its series is that of the line before
//! it, and is appended to that line instead.

mod bound_texts;
mod buffer;
mod escape;

mod number;
mod series_key;

use crate::bytes::short::{ShortRef, ShortText};
use crate::push::exposition::delta::Kept;
use crate::push::mapping::{KINDS, Known, Point, Series};
use crate::push::sample::{Label, Part, Value};
use bound_texts::BoundTexts;
use buffer::{Full, Line, Lines};
use series_key::{GroupValues, SeriesKey, TagTexts, push_field};
use std::fmt;

/// What a push would take more of than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooLong {
    /// Its lines, all together.
    Lines {
        /// What they may take, in bytes.
        bytes_max: usize,
    },
    /// One of its lines.
    Line {
        /// What it takes, in bytes, without its LF; none where it was given up before its end.
        bytes: Option<usize>,
        /// What it may take.
        bytes_max: usize,
    },
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TooLong::Lines { bytes_max } => {
                write!(f, "the lines of this push take more than the {bytes_max} bytes of ")?;
                write!(f, "output.queue_bytes")
            }
            TooLong::Line { bytes: Some(bytes), bytes_max } => {
                write!(f, "the line of this sample takes {bytes} bytes, ")?;
                write!(f, "more than the {bytes_max} of server.max_line_bytes")
            }
            TooLong::Line { bytes: None, bytes_max } => {
                write!(f, "the line of this sample takes more than the {bytes_max} bytes of ")?;
                write!(f, "server.max_line_bytes")
            }
        }
    }
}

/// How much room lines may take, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineLimits {
    /// One line, without its LF.
    pub line_bytes_max: usize,
    /// All lines of a push.
    pub lines_bytes_max: usize,
}

impl LineLimits {
    /// How far lines may be written before any can be too long, or all of them together, where the
    /// first of them begins at `start`.
    fn unchecked_end(self, start: usize) -> usize {
        start.saturating_add(self.line_bytes_max).min(self.lines_bytes_max)
    }
}

/// Writes the lines of one push.
#[derive(Debug, Default)]
pub struct Encoder {
    lines: Lines,
    line_count: u32,
    limits: LineLimits,
    /// A line that ends here or before is not measured: from the last measured one on, every line
    /// begins at most [`LineLimits::line_bytes_max`] before here, and here is at most
    /// [`LineLimits::lines_bytes_max`].
    unchecked_end: usize,
    group: GroupValues,
    bounds: BoundTexts,
    /// The last head of each kind of point.
    heads: [SeriesKey; KINDS],
    time: Time,
    /// The line before, where a point of the same series may join it.
    open: Option<OpenLine>,
}

/// The end of a line: most lines of a push share their time.
#[derive(Clone, Copy, Debug)]
struct Time {
    /// Nanoseconds since the Unix epoch.
    ns: i64,
    /// Blank, timestamp and LF.
    text: ShortText,
}

/// A line with the `_sum` or the `_count` of a series.
#[derive(Clone, Copy, Debug)]
struct OpenLine {
    start: usize,
    /// Bytes of its measurement and tags.
    series_len: usize,
    /// Where its field ends and its timestamp begins.
    field_end: usize,
    family: u64,
    part: Part,
    timestamp_ns: i64,
}

impl Encoder {
    /// Begins a push: its lines are written into `room`, which is overwritten. `group` are the
    /// labels of its URL.
    pub fn begin(&mut self, room: Vec<u8>, limits: LineLimits, group: &[Label<'_>]) {
        self.lines = Lines::new(room);
        self.line_count = 0;
        self.limits = limits;
        self.unchecked_end = limits.unchecked_end(0);
        self.group.set(group.iter().map(|label| &label.value));
        self.heads.iter_mut().for_each(SeriesKey::forget);
        self.open = None;
    }

    /// Writes one point.
    ///
    /// # Errors
    /// [`TooLong`] when the line, or all lines, would take more than they may.
    #[inline(always)]
    pub(crate) fn push(&mut self, point: &Point<'_>) -> Result<(), TooLong> {
        let Point { series, is_of_last_series, value, timestamp_ns } = point;
        self.time.set(*timestamp_ns);
        let written;
        let value = match value {
            Value::Canonical(text) => *text,
            Value::Number(number) => {
                written = number::value(*number);
                written.borrowed()
            }
        };
        let line_start = match self.try_push(series, *is_of_last_series, value) {
            Ok(line_start) => line_start,
            Err(Full) => {
                let Series { known, labels, kept, part } = *series;
                self.push_into_more_room(known, labels, kept, part, *is_of_last_series, value)?
            }
        };
        if self.lines.len() > self.unchecked_end {
            return self.check(line_start);
        }
        Ok(())
    }

    /// Whether the lines, or the last one, which begins there, take more than they may.
    #[cold]
    fn check(&mut self, line_start: usize) -> Result<(), TooLong> {
        let LineLimits { line_bytes_max, lines_bytes_max } = self.limits;
        let without_lf = self.lines.len() - line_start - 1;
        if without_lf > line_bytes_max {
            return Err(TooLong::Line { bytes: Some(without_lf), bytes_max: line_bytes_max });
        }
        if self.lines.len() > lines_bytes_max {
            return Err(TooLong::Lines { bytes_max: lines_bytes_max });
        }
        self.unchecked_end = self.limits.unchecked_end(line_start);
        Ok(())
    }

    /// Writes a point at the time that is set: where its line begins.
    #[inline(always)]
    fn try_push(
        &mut self,
        series: &Series<'_>,
        is_of_last_series: bool,
        value: ShortRef<'_>,
    ) -> Result<usize, Full> {
        let start = self.lines.len();
        let may_share = matches!(series.part, Part::Sum | Part::Count);
        let (line_start, head_end) = if may_share {
            let Series { known, labels, kept, part } = *series;
            self.push_shared(known, labels, kept, part, is_of_last_series)?
        } else {
            let mut line = self.lines.line(start);
            let values = TagTexts { group: &self.group, bounds: &mut self.bounds };
            self.heads[series.kind()].push(&mut line, series, values)?;
            (start, line.end())
        };
        let mut line = self.lines.line(head_end);
        line.extend_short(value)?;
        let field_end = line.end();
        line.extend_short(self.time.text.borrowed())?;
        let end = line.end();
        self.lines.end_at(end);
        let is_joined = line_start != start;
        self.line_count += u32::from(!is_joined);
        // Left alone where it is none already: most lines are none that a point may join.
        if may_share && !is_joined {
            self.open = Some(OpenLine {
                start,
                series_len: self.heads[series.kind()].series_len,
                field_end,
                family: series.family(),
                part: series.part,
                timestamp_ns: self.time.ns,
            });
        } else if self.open.is_some() {
            self.open = None;
        }
        Ok(line_start)
    }

    /// Writes a point that found the room too small. Its key may be written in part: none is copied
    /// from there. A line that has room for twice of what it may take, and wants more, is given up:
    /// so what a line costs is bounded, however long it would be.
    #[cold]
    #[inline(never)]
    fn push_into_more_room(
        &mut self,
        known: &Known<'_>,
        labels: &[Label<'_>],
        kept: Kept,
        part: Part,
        is_of_last_series: bool,
        value: ShortRef<'_>,
    ) -> Result<usize, TooLong> {
        let series = Series { known, labels, kept, part };
        let (start, bytes_max) = (self.lines.len(), self.limits.line_bytes_max);
        let room_max = bytes_max.saturating_mul(2);
        loop {
            self.heads.iter_mut().for_each(SeriesKey::forget);
            if self.lines.has_room_beyond(start, room_max) {
                return Err(TooLong::Line { bytes: None, bytes_max });
            }
            self.lines.grow(start);
            if let Ok(line_start) = self.try_push(&series, is_of_last_series, value) {
                return Ok(line_start);
            }
        }
    }

    /// Writes what is before the value of a sum or a count: a head, or only a comma and the
    /// field where it joins the open line, which is the other one of the same series and time.
    /// Tells where the line begins, and where the value goes.
    #[inline(never)]
    fn push_shared(
        &mut self,
        known: &Known<'_>,
        labels: &[Label<'_>],
        kept: Kept,
        part: Part,
        is_of_last_series: bool,
    ) -> Result<(usize, usize), Full> {
        let series = Series { known, labels, kept, part };
        let Encoder { lines, heads, group, bounds, open, time, .. } = self;
        let (start, head) = (lines.len(), &mut heads[series.kind()]);
        let mut line = lines.line(start);
        let open = open.filter(|open| open.may_take(&series, time.ns));
        let is_same_series = open.is_some() && is_of_last_series;
        if !is_same_series {
            head.push(&mut line, &series, TagTexts { group, bounds })?;
        }
        let series_end = start + head.series_len;
        let joined = open
            .filter(|open| is_same_series || open.series(&line) == line.between(start, series_end));
        let Some(joined) = joined else {
            return Ok((start, line.end()));
        };
        // The head of this point is not among the lines: none may be copied from it.
        head.forget();
        let mut line = lines.line(joined.field_end);
        push_field(&mut line, &series, b',')?;
        Ok((joined.start, line.end()))
    }

    /// How many lines there are so far.
    pub(crate) fn line_count(&self) -> u32 {
        self.line_count
    }

    /// Ends a push: its lines and how many they are.
    pub fn finish(&mut self) -> (Vec<u8>, u32) {
        (std::mem::take(&mut self.lines).into_bytes(), self.line_count)
    }
}

impl Default for Time {
    fn default() -> Time {
        Time { ns: 0, text: ShortText::new(b" 0\n") }
    }
}

impl Time {
    #[inline(always)]
    fn set(&mut self, ns: i64) {
        if self.ns != ns {
            *self = Time::new(ns);
        }
    }

    #[cold]
    fn new(ns: i64) -> Time {
        let mut text = ShortText::new(b" ");
        text.extend(number::integer(ns).as_bytes());
        text.extend(b"\n");
        Time { ns, text }
    }
}

impl OpenLine {
    /// Its measurement and tags.
    fn series<'l>(&self, line: &'l Line<'_>) -> &'l [u8] {
        line.between(self.start, self.start + self.series_len)
    }

    fn may_take(&self, series: &Series<'_>, timestamp_ns: i64) -> bool {
        let are_pair =
            matches!((self.part, series.part), (Part::Sum, Part::Count) | (Part::Count, Part::Sum));
        are_pair && self.family == series.family() && self.timestamp_ns == timestamp_ns
    }
}
