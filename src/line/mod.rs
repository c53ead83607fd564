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

mod bounds;
mod escape;
mod head;
mod lines;
mod number;

use crate::mapping::{KINDS, Point};
use crate::sample::{Label, Part, Value};
use crate::short::ShortText;
use bounds::Bounds;
use head::{GroupValues, Head, Values};
use lines::Lines;
use std::fmt;

/// The lines of one push would take more than they may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// What they may take, in bytes.
    pub bytes_max: usize,
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TooLong { bytes_max } = self;
        write!(
            f,
            "the lines of this push take more than the {bytes_max} bytes of output.queue_bytes"
        )
    }
}

/// Writes the lines of one push.
#[derive(Debug, Default)]
pub struct Encoder {
    lines: Lines,
    line_count: u32,
    bytes_max: usize,
    group: GroupValues,
    bounds: Bounds,
    /// The last head of each kind of point.
    heads: [Head; KINDS],
    /// Blank, timestamp and LF of the line before: most lines of a push share their time.
    time: ShortText,
    time_ns: i64,
    /// The line before, where a point of the same series may join it.
    open: Option<OpenLine>,
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
    /// Begins a push: its lines are written into `room`, which is overwritten, and may take
    /// `bytes_max` bytes. `group` are the labels of its URL.
    pub fn begin(&mut self, room: Vec<u8>, bytes_max: usize, group: &[Label<'_>]) {
        self.lines = Lines::new(room);
        self.line_count = 0;
        self.bytes_max = bytes_max;
        self.group.set(group.iter().map(|label| &*label.value));
        self.heads.iter_mut().for_each(Head::forget);
        self.open = None;
    }

    /// Writes one point.
    ///
    /// # Errors
    /// [`TooLong`] when the lines would take more than they may.
    #[inline(always)]
    pub fn push(&mut self, point: &Point<'_>) -> Result<(), TooLong> {
        let start = self.lines.len();
        let may_share = matches!(point.part, Part::Sum | Part::Count);
        let is_joined = may_share && self.joins(start, *point);
        if !may_share {
            self.push_head(point);
        }
        match point.value {
            Value::Canonical(text) => self.lines.extend_short(text),
            Value::Number(number) => number::push_value(&mut self.lines, number),
        }
        self.line_count += u32::from(!is_joined);
        // Left alone where it is none already: most lines are none that a point may join.
        if may_share && !is_joined {
            self.open = Some(self.open_line(start, *point));
        } else if self.open.is_some() {
            self.open = None;
        }
        self.push_time(point.timestamp_ns);
        if self.lines.len() > self.bytes_max {
            return Err(TooLong { bytes_max: self.bytes_max });
        }
        Ok(())
    }

    /// Ends a push: its lines and how many they are.
    pub fn finish(&mut self) -> (Vec<u8>, u32) {
        (std::mem::take(&mut self.lines).into_bytes(), self.line_count)
    }

    #[inline(always)]
    fn push_head(&mut self, point: &Point<'_>) {
        let values = Values { group: &self.group, bounds: &mut self.bounds };
        self.heads[point.kind()].push(&mut self.lines, point, values);
    }

    /// The line that begins at `start` and ends here, where its timestamp will be.
    #[inline(never)]
    fn open_line(&self, start: usize, point: Point<'_>) -> OpenLine {
        OpenLine {
            start,
            series_len: self.heads[point.kind()].series_len,
            field_end: self.lines.len(),
            family: point.family(),
            part: point.part,
            timestamp_ns: point.timestamp_ns,
        }
    }

    /// Joins a sum or a count to the open line if it is the other one of the same series and time;
    /// false, and a head of its own is written at `start`, if it is not.
    #[inline(never)]
    fn joins(&mut self, start: usize, point: Point<'_>) -> bool {
        let Some(open) = self.open.take().filter(|open| open.may_take(&point)) else {
            self.push_head(&point);
            return false;
        };
        if !point.has_tags_of_last {
            self.push_head(&point);
            let series_end = start + self.heads[point.kind()].series_len;
            let series = self.lines.between(start, series_end);
            if series != self.lines.between(open.start, open.start + open.series_len) {
                return false;
            }
        }
        // The head of this point is not among the lines: none may be copied from it.
        self.heads[point.kind()].forget();
        self.reopen(open, &point);
        true
    }

    /// Takes the end of the open line away and begins the field of a point there.
    fn reopen(&mut self, open: OpenLine, point: &Point<'_>) {
        self.lines.truncate(open.field_end);
        self.lines.push(b',');
        head::push_field_key(&mut self.lines, (point.field(), point.suffix()));
    }

    /// `blank timestamp LF`
    #[inline(always)]
    fn push_time(&mut self, timestamp_ns: i64) {
        if self.time.is_empty() || self.time_ns != timestamp_ns {
            let start = self.lines.len();
            self.lines.push(b' ');
            number::push_integer(&mut self.lines, timestamp_ns);
            self.lines.push(b'\n');
            self.time = ShortText::new(self.lines.between(start, self.lines.len()));
            self.time_ns = timestamp_ns;
        } else {
            self.lines.extend_short(self.time.borrowed());
        }
    }
}

impl OpenLine {
    fn may_take(&self, point: &Point<'_>) -> bool {
        let are_pair =
            matches!((self.part, point.part), (Part::Sum, Part::Count) | (Part::Count, Part::Sum));
        are_pair && self.family == point.family() && self.timestamp_ns == point.timestamp_ns
    }
}
