//! A folder → what is in it and where to go on, at the start: the reading around `recovery`.

use super::folder::Folder;
use super::headers;
use super::recovery::{Ending, Recovered, Segment, Tail, arrange, examine, recover};
use crate::observe::log::Log;
use std::io;
use std::os::unix::fs::FileExt;

/// Reads what a folder holds, and cuts a torn tail.
/// The name is that of the segment that may be written on.
pub(super) fn survey(folder: &Folder, log: &Log) -> io::Result<(Recovered, Option<String>)> {
    let arrangement = arrange(folder.file_starts()?);
    for name in &arrangement.empty {
        tell_failure(log, name, folder.remove(name));
    }
    for name in &arrangement.set_aside {
        log.warn("a segment of the spool is not read, it is kept as .bad", &[("segment", name)]);
        tell_failure(log, name, folder.set_aside(name));
    }
    for name in &arrangement.newer {
        let note = "it is kept as .newer, for that pushline to deliver from a folder of its own";
        let fields = [("segment", name as &dyn std::fmt::Display), ("note", &note)];
        log.warn("a segment of the spool was written by a newer pushline", &fields);
        tell_failure(log, name, folder.keep_newer(name));
    }
    for segment in arrangement.segments.iter().filter(|segment| segment.is_damaged) {
        let fields = [("segment", &segment.name as &dyn std::fmt::Display)];
        let what = "the header of a segment is damaged, what can be read of it is delivered";
        log.warn(what, &fields);
    }
    let mut segments = arrangement.segments;
    let mut tail = None;
    let mut last = None;
    if let Some(segment) = segments.last_mut() {
        let found = tail_of(folder, segment)?;
        let end = found.end as u64;
        if found.ending == Ending::Torn {
            let fields = [("segment", &segment.name as &dyn std::fmt::Display)];
            log.warn(
                "the last record was only half written when the last run ended, and is cut off",
                &fields,
            );
            let file = folder.open_to_append(&segment.name);
            tell_failure(log, &segment.name, file.and_then(|file| file.set_len(end)));
        }
        segment.bytes = end;
        tail = Some(found);
        if !found.is_damaged && !segment.is_damaged {
            last = Some(segment.name.clone());
        }
    }
    let cursor = folder.read_cursor()?;
    Ok((recover(segments, tail, cursor.as_deref(), &arrangement.unreadable), last))
}

/// Reads as little of the last segment as will do.
fn tail_of(folder: &Folder, segment: &Segment) -> io::Result<Tail> {
    let file = folder.open(&segment.name)?;
    let read = |buffer: &mut [u8], offset| file.read_at(buffer, offset);
    match headers::tail_of(read, segment.bytes, segment.start)? {
        Some(tail) => Ok(tail),
        None => Ok(examine(&folder.read(&segment.name)?, segment.start)),
    }
}

/// Tells where something could not be done that is not needed to go on.
pub(super) fn tell_failure(log: &Log, name: &str, done: io::Result<()>) {
    if let Err(error) = done {
        // OK because it is only in the way: the next start tries again.
        log.warn("a file of the spool cannot be cleaned up", &[("file", &name), ("error", &error)]);
    }
}
