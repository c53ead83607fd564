//! Pushes → what is known of the groups that pushed last.
//!
//! Bounded whatever pushers send: at most [`STATUS_GROUPS_MAX`] groups, of which the one that was
//! heard of longest ago leaves for a new one, and of each so much text as `limits` allows; what is
//! cut ends in `…`. A push costs one hash, one lock and one look-up, and where its group is known,
//! nothing is allocated.

use crate::json::Json;
use crate::limits::{
    STATUS_ERROR_BYTES_MAX, STATUS_GROUPS_MAX, STATUS_LABELS_BYTES_MAX, STATUS_VALUE_BYTES_MAX,
};
use crate::push::body::Coding;
use crate::push::route::Group;
use crate::push::sample::{Format, Label};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fmt::{self, Display, Write as _};
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A push that the board is told of.
#[derive(Clone, Copy, Debug)]
pub struct Push<'a> {
    /// The normalised prefix of its input.
    pub route_prefix: &'a str,
    /// The labels of its URL.
    pub group: &'a Group,
    /// When it was received, in nanoseconds since the Unix epoch.
    pub received_ns: i64,
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

/// The groups that pushed last, and what was refused without one.
#[derive(Debug, Default)]
pub(super) struct Board {
    keys: RandomState,
    groups: Mutex<Groups>,
}

#[derive(Debug, Default)]
struct Groups {
    /// By the hash of prefix and labels. It is keyed at random, so no pusher can choose two groups
    /// of one hash, and among fifty the chance of it is none.
    by_key: HashMap<u64, Entry>,
    /// Grows with each push.
    clock: u64,
    pushes: u64,
    samples: u64,
    refused: u64,
    turned_away: u64,
    last_turned_away: Option<Refusal>,
}

/// What is known of one group.
#[derive(Debug, Default)]
struct Entry {
    /// The clock when it was last heard of.
    heard_of: u64,
    route_prefix: String,
    labels: Labels,
    first_push_ms: Option<u64>,
    last_push_ms: Option<u64>,
    pushes: u64,
    refused: u64,
    samples: u64,
    lines: u64,
    last_kind: Option<(Format, Coding)>,
    last_error: Option<Refusal>,
}

/// The labels of a group as a JSON object, made once.
#[derive(Debug, Default)]
struct Labels {
    json: String,
    omitted: u64,
}

/// The last refusal of its kind.
#[derive(Debug, Default)]
struct Refusal {
    status: u16,
    text: String,
    time_ms: u64,
}

impl Board {
    /// A push is answered with 200.
    pub(super) fn accepted(&self, push: &Push<'_>, tally: &Tally) {
        let (key, time_ms) = (self.key(push), to_ms(push.received_ns));
        let mut groups = self.lock();
        groups.pushes += 1;
        groups.samples += tally.sample_count;
        let entry = groups.entry(key, push);
        entry.first_push_ms.get_or_insert(time_ms);
        entry.last_push_ms = Some(time_ms);
        entry.pushes += 1;
        entry.samples += tally.sample_count;
        entry.lines += u64::from(tally.line_count);
        entry.last_kind = Some((tally.format, tally.coding));
    }

    /// A push is answered with an error.
    pub(super) fn refused(&self, push: &Push<'_>, status: u16, error: &dyn Display) {
        let (key, time_ms) = (self.key(push), to_ms(push.received_ns));
        let mut groups = self.lock();
        groups.refused += 1;
        let entry = groups.entry(key, push);
        entry.refused += 1;
        entry.last_error.get_or_insert_default().set(status, error, time_ms);
    }

    /// A request is refused before it is known for which group it came.
    pub(super) fn turned_away(&self, status: u16, error: &dyn Display, time_ns: i64) {
        let mut groups = self.lock();
        groups.turned_away += 1;
        groups.last_turned_away.get_or_insert_default().set(status, error, to_ms(time_ns));
    }

    /// Writes what is known: the totals, and the groups, the last one heard of first.
    pub(super) fn report(&self, json: &mut Json) {
        let groups = self.lock();
        json.key("pushes").number(groups.pushes);
        json.key("pushes_refused").number(groups.refused);
        json.key("samples").number(groups.samples);
        json.key("turned_away").number(groups.turned_away);
        json.key("turned_away_last_error");
        report_error(json, groups.last_turned_away.as_ref());
        let mut entries: Vec<_> = groups.by_key.iter().collect();
        entries.sort_by_key(|(_, entry)| Reverse(entry.heard_of));
        json.key("groups").array(|json| {
            entries.iter().for_each(|(key, entry)| entry.report(json, **key));
        });
    }

    fn key(&self, push: &Push<'_>) -> u64 {
        let mut hasher = self.keys.build_hasher();
        push.route_prefix.hash(&mut hasher);
        for Label { name, value } in push.group.labels() {
            name.hash(&mut hasher);
            value.hash(&mut hasher);
        }
        hasher.finish()
    }

    fn lock(&self) -> MutexGuard<'_, Groups> {
        // Numbers and texts for the eye: those of a poisoned lock are as good as any.
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Groups {
    /// The entry of a group; a new one takes the place of the one heard of longest ago.
    fn entry(&mut self, key: u64, push: &Push<'_>) -> &mut Entry {
        self.clock += 1;
        if self.by_key.len() >= STATUS_GROUPS_MAX && !self.by_key.contains_key(&key) {
            let oldest = self.by_key.iter().min_by_key(|(_, entry)| entry.heard_of);
            if let Some(oldest) = oldest.map(|(key, _)| *key) {
                self.by_key.remove(&oldest);
            }
        }
        let entry = self.by_key.entry(key).or_insert_with(|| Entry::new(push));
        entry.heard_of = self.clock;
        entry
    }
}

impl Entry {
    fn new(push: &Push<'_>) -> Entry {
        let labels = Labels::new(push.group);
        Entry { route_prefix: push.route_prefix.to_owned(), labels, ..Entry::default() }
    }

    fn report(&self, json: &mut Json, key: u64) {
        let (format, coding) = self.last_kind.unzip();
        let format = format.map(|format| match format {
            Format::Text => "text",
            Format::OpenMetrics => "openmetrics",
            Format::Protobuf => "protobuf",
        });
        json.object(|json| {
            json.key("id").text(&format!("{key:016x}"));
            json.key("labels").raw(&self.labels.json);
            json.key("labels_omitted").number(self.labels.omitted);
            json.key("route_prefix").text(&self.route_prefix);
            json.key("first_push_ms").number_or_null(self.first_push_ms);
            json.key("last_push_ms").number_or_null(self.last_push_ms);
            json.key("pushes").number(self.pushes);
            json.key("pushes_refused").number(self.refused);
            json.key("samples").number(self.samples);
            json.key("lines").number(self.lines);
            json.key("format").text(format.unwrap_or_default());
            json.key("coding").text(coding.map(Coding::name).unwrap_or_default());
            json.key("last_error");
            report_error(json, self.last_error.as_ref());
        });
    }
}

impl Labels {
    /// The job first, as it names the group, then the others in their order. Each label is charged
    /// for its punctuation too, so that empty ones are bounded as well.
    fn new(group: &Group) -> Labels {
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
        Labels { json: json.into_text(), omitted }
    }
}

impl Refusal {
    fn set(&mut self, status: u16, error: &dyn Display, time_ms: u64) {
        (self.status, self.time_ms) = (status, time_ms);
        self.text.clear();
        Clipped { text: &mut self.text, bytes_max: STATUS_ERROR_BYTES_MAX }.write(error);
    }
}

fn report_error(json: &mut Json, error: Option<&Refusal>) {
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

fn to_ms(time_ns: i64) -> u64 {
    u64::try_from(time_ns / 1_000_000).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::KIB;
    use crate::push::route::{Endpoint, Route, route};
    use crate::push::sample::Names;
    use serde_json::Value;

    const HOSTILE: &str = "</script><img src=x onerror=alert(1)>\"\\\n\u{0}\u{202e}\u{2028}'";

    fn group(labels: &[(&str, &str)]) -> Group {
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

    fn push(group: &Group, time_ms: i64) -> Push<'_> {
        Push { route_prefix: "/v1", group, received_ns: time_ms * 1_000_000 }
    }

    fn tally(sample_count: u64, line_count: u32) -> Tally {
        let (format, coding) = (Format::OpenMetrics, Coding::Gzip);
        Tally { format, coding, sample_count, line_count }
    }

    fn report(board: &Board) -> Value {
        let mut json = Json::default();
        json.object(|json| board.report(json));
        let text = json.into_text();
        assert!(!text.contains('<') && !text.contains(char::is_control), "{text}");
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_group_adds_up_its_pushes_and_tells_its_last_error() {
        let (board, group) = (Board::default(), group(&[("instance", "h1")]));
        board.refused(&push(&group, 1_000), 400, &"line 1, column 2: what");
        let before = report(&board);
        assert_eq!(before["groups"][0]["last_push_ms"], Value::Null);
        assert_eq!(before["groups"][0]["format"], "");
        board.accepted(&push(&group, 2_000), &tally(3, 2));
        board.accepted(&push(&group, 5_000), &tally(4, 4));
        let mut after = report(&board);
        after["groups"][0]["id"].take();
        let want = serde_json::json!({
            "pushes": 2, "pushes_refused": 1, "samples": 7, "turned_away": 0, "turned_away_last_error": null,
            "groups": [{
                "id": null, "labels": { "job": "j", "instance": "h1" }, "labels_omitted": 0,
                "route_prefix": "/v1", "first_push_ms": 2_000, "last_push_ms": 5_000,
                "pushes": 2, "pushes_refused": 1, "samples": 7, "lines": 6,
                "format": "openmetrics", "coding": "gzip",
                "last_error": { "status": 400, "text": "line 1, column 2: what", "time_ms": 1_000 },
            }],
        });
        assert_eq!(after, want);
    }

    #[test]
    fn labels_or_prefix_tell_groups_apart() {
        let board = Board::default();
        let groups = [
            group(&[]),
            group(&[("a", "bc")]),
            group(&[("ab", "c")]),
            group(&[("a", ""), ("b", "c")]),
        ];
        for _ in 0..3 {
            groups.iter().for_each(|group| board.accepted(&push(group, 1), &tally(1, 1)));
        }
        board.accepted(&Push { route_prefix: "", ..push(&groups[0], 1) }, &tally(1, 1));
        let report = report(&board);
        let pushes: Vec<_> = report["groups"].as_array().unwrap().iter().collect();
        assert_eq!(pushes.len(), 5);
        assert_eq!((&pushes[0]["pushes"], &pushes[0]["route_prefix"]), (&1.into(), &"".into()));
        assert!(pushes[1..].iter().all(|group| group["pushes"] == 3), "{pushes:?}");
    }

    #[test]
    fn the_group_heard_of_longest_ago_leaves_for_a_new_one() {
        let board = Board::default();
        let group_of = |number: usize| group(&[("n", &number.to_string())]);
        for number in 0..STATUS_GROUPS_MAX {
            board.accepted(&push(&group_of(number), 1), &tally(1, 1));
        }
        // Heard of again, if only by a mistake: now number 1 is the oldest.
        board.refused(&push(&group_of(0), 1), 400, &"x");
        board.accepted(&push(&group_of(1_000), 1), &tally(1, 1));
        let report = report(&board);
        let found: Vec<&str> = (0..STATUS_GROUPS_MAX)
            .map(|index| report["groups"][index]["labels"]["n"].as_str().unwrap())
            .collect();
        assert_eq!(report["groups"].as_array().unwrap().len(), STATUS_GROUPS_MAX);
        assert_eq!(found[..3], ["1000", "0", "49"]);
        assert_eq!(found.last(), Some(&"2"));
        assert_eq!(report["pushes"], 51);
    }

    #[test]
    fn text_is_bounded_whatever_pushers_send() {
        let board = Board::default();
        let (long, control) = ("x".repeat(100 * KIB), "\u{1}".repeat(KIB));
        let many: Vec<String> = (0..400).map(|number| format!("l{number}")).collect();
        let many: Vec<_> = many.iter().map(|name| (name.as_str(), "")).collect();
        for number in 0..3 * STATUS_GROUPS_MAX {
            let number = number.to_string();
            let labels = [("n", &*number), ("a", &control), ("b", &control), (&long, &control)];
            let group = group(if number.ends_with('0') { &many } else { &labels });
            board.refused(&push(&group, 1), 400, &control);
        }
        let groups = board.lock();
        let bytes: usize = groups
            .by_key
            .values()
            .map(|entry| {
                let error = entry.last_error.as_ref().unwrap();
                assert!(error.text.ends_with('…'));
                entry.labels.json.capacity() + error.text.capacity()
            })
            .sum();
        assert_eq!(groups.by_key.len(), STATUS_GROUPS_MAX);
        // A control character takes six bytes in JSON, and a String may double.
        let text_max = 12 * STATUS_LABELS_BYTES_MAX + 2 * STATUS_ERROR_BYTES_MAX;
        assert!(bytes < STATUS_GROUPS_MAX * text_max, "{bytes} bytes");
    }

    #[test]
    fn what_is_cut_says_so_and_leaves_room_for_the_others() {
        let long = "é".repeat(KIB);
        let labels = Labels::new(&group(&[("a", &long), ("zone", "z1")]));
        let json: Value = serde_json::from_str(&labels.json).unwrap();
        let cut = json["a"].as_str().unwrap();
        assert_eq!(cut.len(), STATUS_VALUE_BYTES_MAX + '…'.len_utf8());
        assert!(cut.starts_with("éé") && cut.ends_with("é…"));
        assert_eq!((&json["zone"], labels.omitted), (&"z1".into(), 0));
        let many: Vec<String> = (0..400).map(|number| format!("l{number}")).collect();
        let labels =
            Labels::new(&group(&many.iter().map(|name| (&**name, "v")).collect::<Vec<_>>()));
        let json: Value = serde_json::from_str(&labels.json).unwrap();
        let shown = json.as_object().unwrap().len() as u64;
        assert_eq!(shown + labels.omitted, 401);
        assert!(shown > 50 && labels.json.len() <= STATUS_LABELS_BYTES_MAX + "{}".len());
    }

    #[test]
    fn hostile_text_is_told_as_it_was_sent() {
        let (board, group) = (Board::default(), group(&[("evil", HOSTILE), (HOSTILE, "v")]));
        board.refused(&push(&group, 1), 400, &HOSTILE);
        board.turned_away(401, &HOSTILE, 7_000_000);
        let report = report(&board);
        assert_eq!(report["groups"][0]["labels"]["evil"], HOSTILE);
        assert_eq!(report["groups"][0]["labels"][HOSTILE], "v");
        assert_eq!(report["groups"][0]["last_error"]["text"], HOSTILE);
        let away = serde_json::json!({ "status": 401, "text": HOSTILE, "time_ms": 7 });
        assert_eq!((&report["turned_away"], &report["turned_away_last_error"]), (&1.into(), &away));
    }
}
