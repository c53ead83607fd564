//! What both ends of a spool know: its segments, the cursor, what fits.
//!
//! ```text
//!                 cursor                            next
//!                   ▼                                ▼
//! [ delivered │ delivered, waits … ] [ waits … ] [ waits … ]   segments; the last is written to
//!   removed at the next step of the cursor file
//! ```
//! The appender adds at `next`, the drainer takes at the cursor. A record counts as there once it
//! is synced, and its file is removed only after a cursor file that is past it has been synced, so
//! that nothing undelivered is ever unreachable. Damage shows as a gap between sequence numbers,
//! and the drainer counts it when it steps over it.

use super::folder::{Folder, UnusableSpool};
use super::format::Position;
use super::options::SpoolOptions;
use super::recovery::Trust;
use super::state::LedgerState;
use super::survey::{survey, tell_failure};
use crate::limits::{SPOOL_SEGMENT_BYTES_MAX, SPOOL_SEGMENT_BYTES_MIN};
use crate::observe::log::Log;
use crate::observe::telemetry::Telemetry;
use crate::system::Moment;
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The cursor is written at most this often while lines flow: it wears the disk.
const PERSIST_EVERY_MS: u64 = 1000;

/// What both ends of a spool share.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) options: SpoolOptions,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) log: Arc<Log>,
    state: Mutex<LedgerState>,
    /// Whoever removes a file or writes the cursor holds this; taken before `state`.
    disk: Mutex<Disk>,
}

#[derive(Debug)]
struct Disk {
    folder: Folder,
    /// What the cursor file says.
    written: Option<Position>,
    /// When `persist_when_due` wrote it last, in milliseconds since the system started.
    written_at_ms: Option<u64>,
}

/// What was found at the start.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) ledger: Arc<Ledger>,
    /// The name of the segment that may be written on.
    pub(super) last: Option<String>,
}

impl Ledger {
    /// Takes the folder and finds out what is in it.
    pub(super) fn open(
        options: SpoolOptions,
        telemetry: Arc<Telemetry>,
        log: Arc<Log>,
    ) -> Result<Opened, UnusableSpool> {
        let folder = Folder::take(&options.dir)?;
        let (recovered, last) = survey(&folder, &log).map_err(|error| folder.unusable(error))?;
        let written = (recovered.trust == Trust::Agrees).then_some(recovered.cursor);
        let oldest_ms = recovered.segments.first().map(|segment| segment.time_ms);
        let state = LedgerState {
            oldest_ms: oldest_ms.filter(|_| recovered.cursor != recovered.next),
            segments: recovered.segments.into(),
            cursor: recovered.cursor,
            next: recovered.next,
            newest_ms: recovered.newest_ms,
            ..LedgerState::default()
        };
        let disk = Disk { folder, written, written_at_ms: None };
        let (state, disk) = (Mutex::new(state), Mutex::new(disk));
        let ledger = Ledger { options, telemetry, log, state, disk };
        ledger.tell_start(recovered.trust);
        ledger.count_lost(recovered.lost_records);
        ledger.show(&ledger.state());
        Ok(Opened { ledger: Arc::new(ledger), last })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, LedgerState> {
        // Each change is whole before anything can panic, so a poisoned lock is as good as any.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The size at which a segment is full: a spool has at least four of them.
    pub(super) fn segment_bytes(&self) -> u64 {
        let bytes = self.options.bytes_max / 64;
        let bytes = bytes.clamp(SPOOL_SEGMENT_BYTES_MIN, SPOOL_SEGMENT_BYTES_MAX);
        bytes.min(self.options.bytes_max / 4)
    }

    /// How long a segment is written to, where old lines are dropped: it is dropped as a whole.
    pub(super) fn segment_ms_max(&self) -> u64 {
        self.options.age_max.map_or(u64::MAX, |age| (millis(age) / 8).max(1000))
    }

    /// Opens a file of the spool to read.
    pub(super) fn open_to_read(&self, name: &str) -> io::Result<File> {
        self.disk().folder.open(name)
    }

    /// Makes a file that is to be a segment.
    pub(super) fn create(&self, name: &str) -> io::Result<File> {
        self.disk().folder.create(name)
    }

    /// Opens a segment to write on.
    pub(super) fn open_to_append(&self, name: &str) -> io::Result<File> {
        self.disk().folder.open_to_append(name)
    }

    /// Removes a file that has not become a segment.
    pub(super) fn discard(&self, name: &str) {
        tell_failure(&self.log, name, self.disk().folder.remove(name));
    }

    /// Makes the names of new segments survive a loss of power.
    pub(super) fn sync_names(&self) -> io::Result<()> {
        self.disk().folder.sync()
    }

    /// Records that are synced count as there from here on.
    pub(super) fn added(&self, state: &mut LedgerState, next: Position, time_ms: u64, now: Moment) {
        if state.is_empty() {
            (state.oldest_ms, state.filled_at) = (Some(time_ms), Some(now));
        }
        (state.next, state.newest_ms) = (next, Some(time_ms));
        self.show(state);
    }

    /// Records up to `to` are delivered, or given up.
    pub(super) fn advance(&self, to: Position, oldest_ms: Option<u64>) {
        let mut state = self.state();
        if to.sequence >= state.cursor.sequence {
            state.oldest_ms = oldest_ms.or(state.oldest_ms);
        }
        state.move_cursor(to);
        self.show(&state);
    }

    /// What the output took and may have to send again begins at `from`.
    pub(super) fn hold(&self, from: Option<Position>, is_in_doubt: bool) {
        let mut state = self.state();
        state.hold(from);
        state.is_in_doubt = is_in_doubt;
    }

    /// Writes the cursor at the end of the process, after all that the output took, unless that has
    /// to be sent again.
    pub(super) fn close(&self) -> io::Result<()> {
        self.offer_was_withdrawn();
        let mut state = self.state();
        if !state.is_in_doubt {
            state.hold(None);
        }
        drop(state);
        self.persist()
    }

    /// Writes the cursor and removes what is before it, unless that was done a moment ago.
    pub(super) fn persist_when_due(&self, now: Moment) -> io::Result<()> {
        let disk = self.disk();
        let passed_ms = disk.written_at_ms.map(|at_ms| now.uptime_ms.saturating_sub(at_ms));
        let is_due = passed_ms.is_none_or(|passed_ms| passed_ms >= PERSIST_EVERY_MS);
        if is_due { self.persist_with(disk, Some(now)) } else { Ok(()) }
    }

    /// Writes the cursor, where it has moved, and removes the segments before it.
    pub(super) fn persist(&self) -> io::Result<()> {
        self.persist_with(self.disk(), None)
    }

    fn persist_with(&self, mut disk: MutexGuard<'_, Disk>, now: Option<Moment>) -> io::Result<()> {
        let cursor = {
            let state = self.state();
            if state.segments.is_empty() {
                return Ok(());
            }
            state.settled()
        };
        if disk.written == Some(cursor) {
            return self.remove_before(cursor, &disk.folder);
        }
        disk.written_at_ms = now.map(|now| now.uptime_ms).or(disk.written_at_ms);
        if let Err(error) = disk.folder.write_cursor(cursor) {
            if !has_no_room(&error) {
                return Err(error);
            }
            // On a full disk there may be no room even for a cursor: what is delivered makes some.
            // Nothing is lost if the machine ends just here, as delivery goes on with the first
            // segment that is there.
            self.remove_before(cursor, &disk.folder)?;
            disk.folder.write_cursor(cursor)?;
        }
        disk.written = Some(cursor);
        self.remove_before(cursor, &disk.folder)
    }

    /// Removes the segments that only have records before the cursor, or sets them aside.
    fn remove_before(&self, cursor: Position, folder: &Folder) -> io::Result<()> {
        while let Some((name, is_damaged)) = self.first_before(cursor) {
            if is_damaged {
                folder.set_aside(&name)?;
            } else {
                folder.remove(&name)?;
            }
            let mut state = self.state();
            state.segments.pop_front();
            self.show(&state);
        }
        Ok(())
    }

    /// Whether the disk takes a cursor: where it does, it is likely to take a push. A folder that
    /// somebody has removed is made again, as no push comes that would do so.
    pub(super) fn takes_a_cursor(&self) -> bool {
        let is_there = !self.is_folder_lost() || self.look_again().is_ok();
        is_there && self.try_cursor().is_ok()
    }

    /// Whether the disk lets go of what is given up: one that is full does, one that is broken or
    /// read-only does not.
    pub(super) fn check_disk(&self) -> io::Result<()> {
        self.try_cursor().or_else(|error| if has_no_room(&error) { Ok(()) } else { Err(error) })
    }

    fn try_cursor(&self) -> io::Result<()> {
        let disk = self.disk();
        let cursor = self.state().settled();
        disk.folder.write_cursor(cursor)
    }

    /// The first segment, where all of it is before the cursor and nobody writes to it.
    fn first_before(&self, cursor: Position) -> Option<(String, bool)> {
        let state = self.state();
        let first = state.segments.front()?;
        let is_written_to = state.segments.len() == 1 && state.is_appending;
        let is_before = state.end_of(0).sequence <= cursor.sequence && !is_written_to;
        is_before.then(|| (first.name.clone(), first.is_damaged))
    }

    /// Whether the cursor file may be believed after a crash; else it has to be written before
    /// anything is added, as new records would come before the place that it tells.
    pub(super) fn is_cursor_written(&self) -> bool {
        self.disk().written.is_some() || self.state().segments.is_empty()
    }

    /// Counts records that are lost to damage.
    pub(super) fn count_lost(&self, records: u64) {
        if records > 0 {
            self.telemetry.spool_damaged_records.add(records);
            let note = "their segment is kept as .bad, where it is still there";
            self.log.warn(
                "records of the spool are damaged and skipped",
                &[("records", &records), ("note", &note)],
            );
        }
    }

    /// The segment of that name is damaged: it is kept when its time comes.
    pub(super) fn note_damage(&self, name: &str) {
        let mut state = self.state();
        if let Some(segment) = state.segments.iter_mut().find(|segment| segment.name == name) {
            segment.is_damaged = true;
        }
    }

    /// Whether somebody has removed the folder, or put another one in its place.
    pub(super) fn is_folder_lost(&self) -> bool {
        !self.disk().folder.is_there()
    }

    /// Goes on with what is there, after somebody has removed files, or the folder.
    pub(super) fn look_again(&self) -> Result<(), UnusableSpool> {
        let mut disk = self.disk();
        if !disk.folder.is_there() {
            disk.folder.take_again()?;
            disk.written = None;
        }
        let mut state = self.state();
        state.segments.retain(|segment| disk.folder.open(&segment.name).is_ok());
        let lost = state.next.sequence.saturating_sub(state.cursor.sequence);
        let is_all_lost = state.segments.is_empty();
        if is_all_lost {
            let next = state.next;
            state.move_cursor(next);
        }
        self.show(&state);
        drop(state);
        let dir = self.options.dir.display();
        self.log.warn("files of the spool were removed while it is in use", &[("dir", &dir)]);
        // What is lost of a part is a gap, and counted by whoever steps over it.
        if is_all_lost {
            self.count_lost(lost);
        }
        Ok(())
    }

    /// Moves the cursor from `at` to the end of a segment, unless it has another length by now;
    /// returns where that is. None where the segment was given up, and counted, meanwhile.
    pub(super) fn leave(&self, name: &str, bytes: u64, at: Position) -> Option<Position> {
        let mut state = self.state();
        if state.cursor.sequence != at.sequence {
            return None;
        }
        let index = state.segments.iter().position(|segment| segment.name == name)?;
        state.segments.get(index).filter(|segment| segment.bytes == bytes)?;
        let end = state.end_of(index);
        state.move_cursor(end);
        self.show(&state);
        Some(end)
    }

    /// The sequence number with which the segment after this one begins; none is that high where
    /// this is the last one.
    pub(super) fn end_of(&self, name: &str) -> u64 {
        let state = self.state();
        let mut after = state.segments.iter().skip_while(|segment| segment.name != name).skip(1);
        after.next().map_or(u64::MAX, |segment| segment.start.sequence)
    }

    /// A segment cannot be read any more: what was in it is a gap.
    pub(super) fn forget(&self, name: &str) {
        self.state().segments.retain(|segment| segment.name != name);
    }

    fn tell_start(&self, trust: Trust) {
        match trust {
            Trust::Agrees => {}
            Trust::Missing => self.log.warn(CURSOR_AGAIN, &[("cursor", &"missing")]),
            Trust::Damaged => self.log.warn(CURSOR_AGAIN, &[("cursor", &"damaged")]),
            Trust::TooNew => self.log.warn(CURSOR_AGAIN, &[("cursor", &"after all records")]),
        }
        let state = self.state();
        let lines = state.next.lines.saturating_sub(state.cursor.lines);
        if !state.is_empty() {
            self.log.info(
                "lines of an earlier run wait in the spool",
                &[("lines", &lines), ("bytes", &state.bytes())],
            );
        }
    }

    /// Notes what is in the spool.
    pub(super) fn show(&self, state: &LedgerState) {
        let telemetry = &self.telemetry;
        telemetry.spool_lines.set(state.lines());
        telemetry.spool_memory_lines.set(state.offered_lines_given_up());
        telemetry.spool_bytes.set(state.bytes());
        telemetry.spool_oldest_ms.set(state.lines_oldest_ms().unwrap_or(0));
    }
}

const CURSOR_AGAIN: &str =
    "the cursor of the spool cannot be used: all of the spool is delivered again";

/// Whether a disk takes nothing more until something is removed from it.
pub(super) fn has_no_room(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
