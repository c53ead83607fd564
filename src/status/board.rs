//! Pushes → what is known of the groups that pushed last.
//!
//! Bounded whatever pushers send: at most [`STATUS_GROUPS_MAX`] groups, and of each as much text as
//! `limits` allows. A new group takes the place of the one that was heard of longest ago, and of
//! one that fails only where all of them do. A push costs two looks at the board (when its lines
//! are made, and when it is answered), each of them one hash, one lock and one look-up; nothing is
//! allocated for a group that is known.

use super::group::{GroupRecord, LastError, Push, Tally, report_error, to_ms};
use crate::json::Json;
use crate::limits::{STATUS_GROUPS_MAX, STATUS_SEEN_MAX};
use crate::push::sample::Label;
use std::cmp::Reverse;
use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The groups that pushed last, and what was refused without one.
#[derive(Debug, Default)]
pub(super) struct Board {
    keys: RandomState,
    groups: Mutex<GroupTable>,
}

#[derive(Debug, Default)]
struct GroupTable {
    /// By the hash of prefix and labels. It is keyed at random, so no pusher can choose two groups
    /// of one hash, and among fifty the chance of it is none.
    by_key: HashMap<u64, GroupRecord>,
    /// The keys of all groups since the start, as many as [`STATUS_SEEN_MAX`].
    seen: HashSet<u64>,
    /// Grows with each push.
    clock: u64,
    pushes: u64,
    samples: u64,
    refused: u64,
    turned_away: u64,
    last_turned_away: Option<LastError>,
}

impl Board {
    /// A push became these lines, which are not delivered yet.
    pub(super) fn converted(&self, push: &Push<'_>, lines: &[u8]) {
        let key = self.key(push);
        self.lock().record(key, push).converted(lines);
    }

    /// A push is answered with 200.
    pub(super) fn accepted(&self, push: &Push<'_>, tally: &Tally) {
        let key = self.key(push);
        let mut groups = self.lock();
        groups.pushes += 1;
        groups.samples += tally.sample_count;
        groups.record(key, push).accepted(to_ms(push.received_ns), tally);
    }

    /// A push is answered with an error.
    pub(super) fn refused(&self, push: &Push<'_>, status: u16, error: &dyn Display) {
        let key = self.key(push);
        let mut groups = self.lock();
        groups.refused += 1;
        groups.record(key, push).refused(to_ms(push.received_ns), status, error);
    }

    /// A request is refused before it is known for which group it came.
    pub(super) fn turned_away(&self, status: u16, error: &dyn Display, time_ns: i64) {
        let mut groups = self.lock();
        groups.turned_away += 1;
        groups.last_turned_away.get_or_insert_default().set(status, error, to_ms(time_ns));
    }

    /// Pushes answered with 200, and with an error.
    pub(super) fn pushes(&self) -> (u64, u64) {
        let groups = self.lock();
        (groups.pushes, groups.refused)
    }

    /// Writes what is known: the totals, and the groups, the last one heard of first.
    pub(super) fn report(&self, json: &mut Json, now_ms: u64) {
        let groups = self.lock();
        json.key("pushes").number(groups.pushes);
        json.key("pushes_refused").number(groups.refused);
        json.key("samples").number(groups.samples);
        json.key("turned_away").number(groups.turned_away);
        json.key("turned_away_last_error");
        report_error(json, groups.last_turned_away.as_ref());
        json.key("groups_seen").number(groups.seen.len() as u64);
        let mut records: Vec<_> = groups.by_key.iter().collect();
        records.sort_by_key(|(_, record)| Reverse(record.heard_of));
        json.key("groups").array(|json| {
            records.iter().for_each(|(key, record)| record.report(json, **key, now_ms));
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

    fn lock(&self) -> MutexGuard<'_, GroupTable> {
        // Numbers and texts for the eye: those of a poisoned lock are as good as any.
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GroupTable {
    /// The record of a group. A new one takes the place of the one heard of longest ago; those that
    /// fail stay as long as there are others.
    fn record(&mut self, key: u64, push: &Push<'_>) -> &mut GroupRecord {
        self.clock += 1;
        if !self.by_key.contains_key(&key) {
            if self.seen.len() < STATUS_SEEN_MAX {
                self.seen.insert(key);
            }
            if self.by_key.len() >= STATUS_GROUPS_MAX {
                let rank = |record: &GroupRecord| (record.is_failing(), record.heard_of);
                let leaving = self.by_key.iter().min_by_key(|(_, record)| rank(record));
                if let Some(leaving) = leaving.map(|(key, _)| *key) {
                    self.by_key.remove(&leaving);
                }
            }
        }
        let record = self.by_key.entry(key).or_insert_with(|| GroupRecord::new(push));
        record.heard_of = self.clock;
        record.pushed_by(push.client);
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{
        KIB, STATUS_ERROR_BYTES_MAX, STATUS_LABELS_BYTES_MAX, STATUS_LINES_BYTES_MAX,
    };
    use crate::push::body::Coding;
    use crate::push::route::Group;
    use crate::push::sample::Format;
    use crate::status::group::tests::group;
    use serde_json::Value;

    const HOSTILE: &str = "</script><img src=x onerror=alert(1)>\"\\\n\u{0}\u{202e}\u{2028}'";

    fn push(group: &Group, time_ms: i64) -> Push<'_> {
        Push { route_prefix: "/v1", group, received_ns: time_ms * 1_000_000, client: Some("c<1>") }
    }

    fn tally(sample_count: u64, line_count: u32) -> Tally {
        let (format, coding) = (Format::OpenMetrics, Coding::Gzip);
        Tally { format, coding, sample_count, line_count }
    }

    fn report(board: &Board) -> Value {
        let mut json = Json::default();
        json.object(|json| board.report(json, 6_000));
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
        board.converted(&push(&group, 5_000), b"a b=1 1\n");
        board.accepted(&push(&group, 5_000), &tally(4, 4));
        let mut after = report(&board);
        after["groups"][0]["id"].take();
        let want = serde_json::json!({
            "pushes": 2, "pushes_refused": 1, "samples": 7, "turned_away": 0, "turned_away_last_error": null,
            "groups_seen": 1,
            "groups": [{
                "id": null, "labels": { "job": "j", "instance": "h1" }, "labels_omitted": 0,
                "route_prefix": "/v1", "client": "c<1>", "first_push_ms": 2_000, "last_push_ms": 5_000,
                "interval_ms": null, "late_ms": null, "is_failing": false,
                "recent": [[1_000, 400], [2_000, 200], [5_000, 200]],
                "pushes": 2, "pushes_refused": 1, "samples": 7, "lines": 6, "last_lines": "a b=1 1\n",
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
        assert_eq!((&report["pushes"], &report["groups_seen"]), (&51.into(), &51.into()));
    }

    #[test]
    fn a_group_that_fails_stays_while_others_that_do_not_can_leave() {
        let board = Board::default();
        let group_of = |number: usize| group(&[("n", &number.to_string())]);
        board.refused(&push(&group_of(0), 1), 400, &"x");
        for number in 1..3 * STATUS_GROUPS_MAX {
            board.accepted(&push(&group_of(number), 1), &tally(1, 1));
        }
        let has = |number: usize| {
            let label = Value::from(number.to_string());
            report(&board)["groups"].as_array().unwrap().iter().any(|it| it["labels"]["n"] == label)
        };
        assert!(has(0), "the failing one");
        assert!(!has(1), "the oldest of the others");
        for number in 1_000..1_000 + STATUS_GROUPS_MAX {
            board.refused(&push(&group_of(number), 1), 400, &"x");
        }
        assert!(!has(0), "where all fail, the oldest leaves");
        assert_eq!(report(&board)["groups_seen"], 4 * STATUS_GROUPS_MAX);
    }

    #[test]
    fn only_whole_lines_are_kept_of_a_push_and_one_that_is_too_long_is_cut() {
        let (board, group) = (Board::default(), group(&[]));
        let line = format!("{}\n", "x".repeat(99));
        for (lines, want) in [
            (line.repeat(3), line.repeat(3)),
            (line.repeat(50), line.repeat(STATUS_LINES_BYTES_MAX / 100)),
            ("é".repeat(KIB), format!("{}…", "é".repeat(STATUS_LINES_BYTES_MAX / 2))),
            (String::new(), String::new()),
        ] {
            board.converted(&push(&group, 1), lines.as_bytes());
            assert_eq!(report(&board)["groups"][0]["last_lines"], want);
        }
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
            board.converted(&push(&group, 1), &[b'x'; 4 * KIB]);
            board.refused(&push(&group, 1), 400, &control);
        }
        let groups = board.lock();
        let bytes: usize = groups.by_key.values().map(|entry| entry.held_bytes()).sum();
        assert_eq!(groups.by_key.len(), STATUS_GROUPS_MAX);
        // A control character takes six bytes in JSON, and a String may double.
        let text_max =
            12 * STATUS_LABELS_BYTES_MAX + 2 * STATUS_ERROR_BYTES_MAX + 2 * STATUS_LINES_BYTES_MAX;
        assert!(bytes < STATUS_GROUPS_MAX * text_max, "{bytes} bytes");
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
