//! What is known of one group → its JSON: labels, pace, totals, the last error, the last lines.
//!
//! Bounded whatever pushers send: each text has its bound in `limits`, and what is cut ends in `…`.

use super::pace::{Mark, Pace};
use crate::json::Json;
use crate::limits::{
    STATUS_ERROR_BYTES_MAX, STATUS_LABELS_BYTES_MAX, STATUS_LINES_BYTES_MAX, STATUS_VALUE_BYTES_MAX,
};
use crate::push::body::Coding;
use crate::push::route::Group;
use crate::push::sample::Format;
use std::fmt::{self, Display, Write as _};

/// A push that the board is told of.
#[derive(Clone, Copy, Debug)]
pub struct Push<'a> {
    /// The normalised prefix of its input.
    pub route_prefix: &'a str,
    /// The labels of its URL.
    pub group: &'a Group,
    /// When it was received, in nanoseconds since the Unix epoch.
    pub received_ns: i64,
    /// The name in the certificate of who pushed it; none without one.
    pub client: Option<&'a str>,
}

/// What an accepted push was.
#[derive(Clone, Copy, Debug)]
pub struct Tally {
    /// Its format.
    pub format: Format,
    /// Its content coding.
    pub coding: Coding,
    /// Samples read, the skipped ones included.
    pub sample_count: u64,
    /// Lines that they became.
    pub line_count: u32,
}

/// What is known of one group.
#[derive(Debug, Default)]
pub(super) struct GroupRecord {
    /// The clock when it was last heard of.
    pub(super) heard_of: u64,
    route_prefix: String,
    /// The name of who pushed last, as its certificate says it; empty without one.
    client: String,
    labels: LabelsText,
    pace: Pace,
    first_push_ms: Option<u64>,
    last_push_ms: Option<u64>,
    pushes: u64,
    refused: u64,
    samples: u64,
    lines: u64,
    last_kind: Option<(Format, Coding)>,
    last_lines: String,
    last_error: Option<LastError>,
}

/// The labels of a group as a JSON object, made once.
#[derive(Debug, Default)]
struct LabelsText {
    json: String,
    omitted: u64,
}

/// The last refusal of its kind.
#[derive(Debug, Default)]
pub(super) struct LastError {
    status: u16,
    text: String,
    time_ms: u64,
}

impl GroupRecord {
    pub(super) fn new(push: &Push<'_>) -> GroupRecord {
        let labels = LabelsText::new(push.group);
        GroupRecord { route_prefix: push.route_prefix.to_owned(), labels, ..GroupRecord::default() }
    }

    /// Who pushed last.
    pub(super) fn pushed_by(&mut self, client: Option<&str>) {
        let client = client.unwrap_or_default();
        if self.client != client {
            client.clone_into(&mut self.client);
        }
    }

    /// Whether its last push was refused.
    pub(super) fn is_failing(&self) -> bool {
        self.pace.is_failing()
    }

    /// A push of it became these lines, which are not delivered yet: the first of them are kept.
    pub(super) fn converted(&mut self, lines: &[u8]) {
        let end = match lines.get(..STATUS_LINES_BYTES_MAX) {
            Some(start) => start.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1),
            None => lines.len(),
        };
        self.last_lines.clear();
        let (text, bytes_max) = (&mut self.last_lines, STATUS_LINES_BYTES_MAX);
        // A line that is longer than the bound is cut; otherwise only whole ones are shown.
        let shown =
            if end == 0 { lines.get(..STATUS_LINES_BYTES_MAX + 1) } else { lines.get(..end) };
        Clipped { text, bytes_max }.write(String::from_utf8_lossy(shown.unwrap_or(lines)));
    }

    /// A push of it is answered with 200.
    pub(super) fn accepted(&mut self, time_ms: u64, tally: &Tally) {
        self.pace.note(Mark { time_ms, status: 200 });
        self.first_push_ms.get_or_insert(time_ms);
        self.last_push_ms = Some(time_ms);
        self.pushes += 1;
        self.samples += tally.sample_count;
        self.lines += u64::from(tally.line_count);
        self.last_kind = Some((tally.format, tally.coding));
    }

    /// A push of it is answered with an error.
    pub(super) fn refused(&mut self, time_ms: u64, status: u16, error: &dyn Display) {
        self.pace.note(Mark { time_ms, status });
        self.refused += 1;
        self.last_error.get_or_insert_default().set(status, error, time_ms);
    }

    pub(super) fn report(&self, json: &mut Json, key: u64, now_ms: u64) {
        let (format, coding) = self.last_kind.unzip();
        json.object(|json| {
            json.key("id").text(&format!("{key:016x}"));
            json.key("labels").raw(&self.labels.json);
            json.key("labels_omitted").number(self.labels.omitted);
            json.key("route_prefix").text(&self.route_prefix);
            json.key("client").text(&self.client);
            json.key("first_push_ms").number_or_null(self.first_push_ms);
            json.key("last_push_ms").number_or_null(self.last_push_ms);
            json.key("interval_ms").number_or_null(self.pace.interval_ms());
            json.key("late_ms").number_or_null(self.pace.late_ms(now_ms));
            json.key("is_failing").raw(if self.is_failing() { "true" } else { "false" });
            json.key("recent").array(|json| {
                for Mark { time_ms, status } in self.pace.marks() {
                    json.array(|json| {
                        json.number(*time_ms);
                        json.number(u64::from(*status));
                    });
                }
            });
            json.key("pushes").number(self.pushes);
            json.key("pushes_refused").number(self.refused);
            json.key("samples").number(self.samples);
            json.key("lines").number(self.lines);
            json.key("format").text(format.map(Format::name).unwrap_or_default());
            json.key("coding").text(coding.map(Coding::name).unwrap_or_default());
            json.key("last_lines").text(&self.last_lines);
            json.key("last_error");
            report_error(json, self.last_error.as_ref());
        });
    }
}

impl LabelsText {
    /// The job first, as it names the group, then the others in their order. Each label is charged
    /// for its punctuation too, so that empty ones are bounded as well.
    fn new(group: &Group) -> LabelsText {
        const PUNCTUATION_BYTES: usize = r#""":"","#.len();
        let (job, others): (Vec<_>, Vec<_>) =
            group.labels().iter().partition(|label| label.name == "job");
        let (mut json, mut omitted, mut room) = (Json::default(), 0, STATUS_LABELS_BYTES_MAX);
        json.object(|json| {
            for label in job.into_iter().chain(others) {
                let mut value = String::new();
                Clipped { text: &mut value, bytes_max: STATUS_VALUE_BYTES_MAX }.write(&label.value);
                let cost = label.name.len() + value.len() + PUNCTUATION_BYTES;
                match room.checked_sub(cost) {
                    Some(left) => {
                        json.key(&label.name).text(&value);
                        room = left;
                    }
                    None => omitted += 1,
                }
            }
        });
        LabelsText { json: json.into_text(), omitted }
    }
}

impl LastError {
    pub(super) fn set(&mut self, status: u16, error: &dyn Display, time_ms: u64) {
        (self.status, self.time_ms) = (status, time_ms);
        self.text.clear();
        Clipped { text: &mut self.text, bytes_max: STATUS_ERROR_BYTES_MAX }.write(error);
    }
}

/// Writes an error, or null.
pub(super) fn report_error(json: &mut Json, error: Option<&LastError>) {
    match error {
        Some(error) => json.object(|json| {
            json.key("status").number(u64::from(error.status));
            json.key("text").text(&error.text);
            json.key("time_ms").number(error.time_ms);
        }),
        None => json.null(),
    }
}

/// Takes up to so many bytes of a text, then one `…`, and ends the writing.
struct Clipped<'a> {
    text: &'a mut String,
    bytes_max: usize,
}

impl Clipped<'_> {
    fn write(&mut self, value: impl Display) {
        if write!(self, "{value}").is_err() {
            // OK because the text is full, and says so.
        }
    }
}

impl fmt::Write for Clipped<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let room = self.bytes_max.saturating_sub(self.text.len());
        if part.len() <= room {
            self.text.push_str(part);
            return Ok(());
        }
        let end = (0..=room).rev().find(|end| part.is_char_boundary(*end)).unwrap_or_default();
        self.text.push_str(part.get(..end).unwrap_or_default());
        self.text.push('…');
        Err(fmt::Error)
    }
}

/// Milliseconds of a time in nanoseconds.
pub(super) fn to_ms(time_ns: i64) -> u64 {
    u64::try_from(time_ns / 1_000_000).unwrap_or_default()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::limits::KIB;
    use crate::push::route::{Endpoint, Route, route};
    use crate::push::sample::Names;
    use serde_json::Value;

    impl GroupRecord {
        /// What its texts hold.
        pub(crate) fn held_bytes(&self) -> usize {
            let error = self.last_error.as_ref().unwrap();
            assert!(error.text.ends_with('…'));
            self.labels.json.capacity() + error.text.capacity() + self.last_lines.capacity()
        }
    }

    pub(crate) fn group(labels: &[(&str, &str)]) -> Group {
        let encode_byte = |byte: u8| match byte {
            b'a'..=b'z' | b'0'..=b'9' => char::from(byte).to_string(),
            _ => format!("%{byte:02x}"),
        };
        let encode = |text: &str| text.bytes().map(encode_byte).collect();
        let parts: Vec<String> =
            labels.iter().flat_map(|(name, value)| [encode(name), encode(value)]).collect();
        let target = format!("/metrics/job/j/{}", parts.join("/"));
        let endpoint = Endpoint { names: Names::Utf8, ..Endpoint::default() };
        match route("POST", target.as_bytes(), &[endpoint]) {
            Ok(Route::Push { group, .. }) => group,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_cut_says_so_and_leaves_room_for_the_others() {
        let long = "é".repeat(KIB);
        let labels = LabelsText::new(&group(&[("a", &long), ("zone", "z1")]));
        let json: Value = serde_json::from_str(&labels.json).unwrap();
        let cut = json["a"].as_str().unwrap();
        assert_eq!(cut.len(), STATUS_VALUE_BYTES_MAX + '…'.len_utf8());
        assert!(cut.starts_with("éé") && cut.ends_with("é…"));
        assert_eq!((&json["zone"], labels.omitted), (&"z1".into(), 0));
        let many: Vec<String> = (0..400).map(|number| format!("l{number}")).collect();
        let labels =
            LabelsText::new(&group(&many.iter().map(|name| (&**name, "v")).collect::<Vec<_>>()));
        let json: Value = serde_json::from_str(&labels.json).unwrap();
        let shown = json.as_object().unwrap().len() as u64;
        assert_eq!(shown + labels.omitted, 401);
        assert!(shown > 50 && labels.json.len() <= STATUS_LABELS_BYTES_MAX + "{}".len());
    }
}
