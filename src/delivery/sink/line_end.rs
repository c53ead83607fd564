//! Whether what is there ends within a line, so that the next one must begin on a line of its own:
//! a crash, a full disk or a break in the middle of a block may have left half a line.

use crate::system;
use std::fs::{self, File};
use std::io::{self, Seek};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Whether the last byte of a file is not a line feed; one that cannot be read is taken as whole.
pub(super) fn is_torn(path: &Path) -> bool {
    let length = fs::metadata(path).ok().filter(|metadata| metadata.is_file());
    length.is_some_and(|metadata| is_torn_at(path, metadata.len()))
}

/// The same of what is before the place where the next write to an open file goes.
pub(super) fn is_torn_before(file: &File) -> bool {
    let place = || -> io::Result<u64> {
        let (_, is_appending) = system::access(file)?;
        // OK because a place is asked for, not changed.
        if is_appending { Ok(file.metadata()?.len()) } else { (&mut &*file).stream_position() }
    };
    let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_fd().as_raw_fd()));
    is_file && place().is_ok_and(|place| is_torn_at(&path, place))
}

fn is_torn_at(path: &Path, place: u64) -> bool {
    let (Ok(file), Some(last)) = (File::open(path), place.checked_sub(1)) else { return false };
    let mut byte = [0];
    file.read_exact_at(&mut byte, last).is_ok() && byte != *b"\n"
}
