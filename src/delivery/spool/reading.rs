//! Bytes of a file, of which a bad disk may not give all.
//!
//! What cannot be read is damage like any other (SPEC 3.4): in its place come bytes that are no
//! part of a record, so that whoever looks for records skips it, and counts it.

use std::io::{self, ErrorKind};

/// What is read again, and given up, at a time: a page of the system, which reads no less.
const PAGE_BYTES: u64 = 4096;
/// Stands for a byte that cannot be read. Neither lines nor markers have it, and a tail of it is no
/// tail that was never written, which is zeros.
const UNREADABLE: u8 = 0xfe;

/// Whether the disk has lost what was asked for, for good.
pub(super) fn is_damage(error: &io::Error) -> bool {
    /// Numbers of Linux: an error of the disk, bad data, a file system that needs cleaning.
    const EIO: i32 = 5;
    const EBADMSG: i32 = 74;
    const EUCLEAN: i32 = 117;
    matches!(error.raw_os_error(), Some(EIO | EBADMSG | EUCLEAN))
}

/// Fills `buffer` from `offset` on by `read`, which reads at a place; returns how many bytes there
/// were before the file ended.
pub(super) fn read_through(
    read: impl Fn(&mut [u8], u64) -> io::Result<usize>,
    buffer: &mut [u8],
    offset: u64,
) -> io::Result<usize> {
    let (mut done, mut bytes_max) = (0, usize::MAX);
    loop {
        let at = offset + done as u64;
        let rest = buffer.get_mut(done..).unwrap_or_default();
        let asked = rest.len().min(bytes_max);
        let piece = rest.get_mut(..asked).unwrap_or_default();
        if piece.is_empty() {
            return Ok(done);
        }
        match read(piece, at) {
            Ok(0) => return Ok(done),
            Ok(count) => (done, bytes_max) = (done + count, usize::MAX),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if is_damage(&error) => {
                // What is before the bad page may still be had, page by page.
                let page = usize::try_from(PAGE_BYTES - at % PAGE_BYTES).unwrap_or(1);
                if asked > page {
                    bytes_max = page;
                } else {
                    piece.fill(UNREADABLE);
                    (done, bytes_max) = (done + asked, usize::MAX);
                }
            }
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_disk_does_not_give_is_marked_and_all_else_is_read() {
        let place = |offset: u64| usize::try_from(offset).unwrap();
        let file: Vec<u8> = (0..=250).cycle().take(place(5 * PAGE_BYTES)).collect();
        let bad = 2 * PAGE_BYTES..3 * PAGE_BYTES;
        let read = |buffer: &mut [u8], offset: u64| {
            let end = offset + buffer.len() as u64;
            if offset < bad.end && bad.start < end {
                return Err(io::Error::from_raw_os_error(5));
            }
            let rest = &file[place(offset).min(file.len())..];
            let count = rest.len().min(buffer.len()).min(1000);
            buffer[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        };
        for offset in [0, 1, 2 * PAGE_BYTES + 7, 4 * PAGE_BYTES] {
            let mut buffer = vec![0; file.len()];
            let count = read_through(read, &mut buffer, offset).unwrap();
            assert_eq!(count, file.len() - place(offset));
            for (at, byte) in (offset..).zip(&buffer[..count]) {
                let want = if bad.contains(&at) { UNREADABLE } else { file[place(at)] };
                assert_eq!(*byte, want, "byte {at} from {offset}");
            }
        }
    }

    #[test]
    fn any_other_failure_is_told() {
        let read = |_: &mut [u8], _| Err(ErrorKind::PermissionDenied.into());
        assert!(read_through(read, &mut [0; 10], 0).is_err());
    }
}
