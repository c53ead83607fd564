//! Blocks → standard output, meant for a pipe.
//!
//! Writes go to a descriptor of our own, without std's line buffer. None of them waits: a write to
//! a full pipe returns with what was taken, so that a slow reader is seen to take something. When
//! the reader goes away the output has ended: the process reports it and lets its supervisor
//! restart the pipeline. A block that broke in the middle begins anew on a line of its own.

use super::block::Block;
use super::contract::{Sink, WAIT_MAX};
use super::line_end;
use super::outcome::{Taken, Trouble};
use super::progress::Progress;
use crate::limits::MIB;
use crate::system::{self, Access};
use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

/// What a pipe is asked to hold: fewer, larger reads and writes.
const PIPE_BYTES: usize = MIB;
/// What anything that is ready for writing takes without waiting (POSIX, `PIPE_BUF` of Linux).
const PIECE_BYTES: usize = 4096;
/// The device number of `/dev/null`: major 1, minor 3.
const NULL_DEVICE: u64 = 1 << 8 | 3;

/// How bytes are written without waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// As they are: a file never waits, nor does a pipe that was opened so.
    Direct,
    /// By a call that does not wait.
    Socket,
    /// In pieces that are small enough, once there is room: a terminal, a pipe of another user.
    Pieces,
}

/// Standard output.
#[derive(Debug)]
pub(super) struct Stdout {
    descriptor: File,
    way: Way,
    /// Bytes of the block in hand that are written.
    written: usize,
    /// What is written ends within a line.
    is_line_torn: bool,
}

impl Stdout {
    /// Takes the descriptor.
    ///
    /// # Errors
    /// It is closed, or only open for reading.
    pub(super) fn open() -> io::Result<Stdout> {
        let descriptor = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        check(&descriptor)?;
        Stdout::over(descriptor)
    }

    fn over(descriptor: File) -> io::Result<Stdout> {
        let metadata = descriptor.metadata()?;
        let kind = metadata.file_type();
        let unblocked =
            if kind.is_fifo() { system::open_unblocked(&descriptor).ok() } else { None };
        let (descriptor, way) = match unblocked {
            Some(unblocked) => (File::from(unblocked), Way::Direct),
            None if kind.is_socket() => (descriptor, Way::Socket),
            None if kind.is_file() || is_null(&metadata) => (descriptor, Way::Direct),
            None => (descriptor, Way::Pieces),
        };
        if system::enlarge_pipe(&descriptor, PIPE_BYTES).is_err() {
            // OK because this is no pipe, or the user's share is used up: it works as it is.
        }
        let is_line_torn = line_end::is_torn_before(&descriptor);
        Ok(Stdout { descriptor, way, written: 0, is_line_torn })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, Trouble> {
        let written = match self.way {
            Way::Direct => self.descriptor.write(bytes),
            Way::Socket => system::send_unblocked(&self.descriptor, bytes),
            Way::Pieces => match system::wait_writable(&self.descriptor, WAIT_MAX)? {
                system::Wait::Ready => {
                    let piece = bytes.get(..PIECE_BYTES).unwrap_or(bytes);
                    self.descriptor.write(piece)
                }
                system::Wait::TimedOut => Ok(0),
            },
        };
        match written {
            Ok(0) => Err(Trouble::Blocked),
            Ok(count) => Ok(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                system::wait_writable(&self.descriptor, WAIT_MAX)?;
                Err(Trouble::Blocked)
            }
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Trouble::Ended(error)),
            Err(error) => Err(error.into()),
        }
    }

    fn go_on(&mut self, block: &Block, progress: &mut Progress) -> Result<Taken, Trouble> {
        if self.is_line_torn && self.written == 0 {
            self.write(b"\n")?;
            self.is_line_torn = false;
        }
        let bytes = block.bytes();
        self.written += self.write(block.slice(self.written..bytes.len()))?;
        if self.written < bytes.len() {
            progress.reached(self.written);
            return Err(Trouble::Blocked);
        }
        self.written = 0;
        Ok(Taken::All)
    }
}

fn is_null(metadata: &Metadata) -> bool {
    metadata.file_type().is_char_device() && metadata.rdev() == NULL_DEVICE
}

/// Whether lines that are written there get anywhere.
fn check(descriptor: &File) -> io::Result<()> {
    let (access, _) = system::access(descriptor)?;
    let metadata = descriptor.metadata()?;
    let refuse = |why| Err(io::Error::new(io::ErrorKind::NotConnected, why));
    match access {
        Access::Read => refuse("standard output is only open for reading"),
        // The runtime puts /dev/null, for both, in the place of a closed standard output before
        // main begins: there is no other sign of it. A shell opens it for writing only.
        Access::Both if is_null(&metadata) => refuse(
            "standard output is closed, or is /dev/null for reading and writing, which looks the \
             same: to drop all lines, use >/dev/null or output.target = \"file:/dev/null\"",
        ),
        Access::Both | Access::Write => Ok(()),
    }
}

impl Sink for Stdout {
    fn offer(&mut self, block: &Block, progress: &mut Progress) -> Result<Taken, Trouble> {
        let outcome = self.go_on(block, progress);
        if let Err(Trouble::Broken { .. }) = &outcome {
            let last = self.written.checked_sub(1).and_then(|last| block.bytes().get(last));
            self.is_line_torn |= last.is_some_and(|byte| *byte != b'\n');
            self.written = 0;
        }
        outcome
    }

    fn idle(&mut self) -> Result<(), Trouble> {
        if system::has_lost_reader(&self.descriptor) {
            return Err(Trouble::Ended(io::Error::from(io::ErrorKind::BrokenPipe)));
        }
        Ok(())
    }

    fn reopen(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::condition::OutputState;
    use crate::observe::telemetry::Telemetry;
    use std::io::Read;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;
    use std::time::Duration;

    /// A reader that takes a little at a time sees all of it, and no write hides that it does.
    #[test]
    fn no_write_waits_for_a_slow_reader_whatever_standard_output_is() {
        let (pipe_end, pipe) = io::pipe().unwrap();
        let (socket_end, socket) = UnixStream::pair().unwrap();
        let (other_end, other) = io::pipe().unwrap();
        let read = |from: OwnedFd| File::from(from);
        let pipe = Stdout::over(File::from(OwnedFd::from(pipe))).unwrap();
        let socket = Stdout::over(File::from(OwnedFd::from(socket))).unwrap();
        let other =
            Stdout { way: Way::Pieces, ..Stdout::over(OwnedFd::from(other).into()).unwrap() };
        assert_eq!((pipe.way, socket.way), (Way::Direct, Way::Socket));
        for (mut stdout, mut reader) in [
            (pipe, read(pipe_end.into())),
            (socket, read(socket_end.into())),
            (other, read(other_end.into())),
        ] {
            let mut block = Block::default();
            block.append(&b"0123456789abcde\n".repeat(200_000), 200_000);
            let telemetry = Arc::new(Telemetry::new());
            let state = Arc::new(OutputState::new(Duration::ZERO, telemetry));
            let mut progress = Progress::new(state);
            let (mut read, mut piece) = (0, vec![0; 60_000]);
            // One thread does both, so a write that waits would wait for ever.
            loop {
                match stdout.offer(&block, &mut progress) {
                    Ok(_) => break,
                    Err(Trouble::Blocked) if stdout.written > read => {
                        read += reader.read(&mut piece).unwrap();
                    }
                    Err(Trouble::Blocked) => {}
                    Err(trouble) => panic!("{trouble:?}"),
                }
            }
            drop(stdout);
            let mut rest = Vec::new();
            reader.read_to_end(&mut rest).unwrap();
            assert_eq!(read + rest.len(), block.bytes().len());
        }
    }
}
