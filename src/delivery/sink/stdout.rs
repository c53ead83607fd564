//! Bytes → standard output, meant for a pipe.
//!
//! Writes go to a duplicate of the descriptor, without std's line buffer. A pipe that a supervisor
//! left non-blocking is waited for, never spun on. When the reader goes away the output has ended:
//! the process reports it and lets its supervisor restart the pipeline.

use super::{Sink, Trouble, WAIT_MAX, trouble};
use crate::limits::MIB;
use crate::system::{self, Wait};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;

/// What a pipe is asked to hold: fewer, larger reads and writes.
const PIPE_BYTES: usize = MIB;

/// Standard output.
#[derive(Debug)]
pub(super) struct Stdout {
    descriptor: File,
}

impl Stdout {
    /// Duplicates the descriptor.
    pub(super) fn open() -> io::Result<Stdout> {
        let stdout = Stdout::over(File::from(io::stdout().as_fd().try_clone_to_owned()?));
        Ok(stdout)
    }

    fn over(descriptor: File) -> Stdout {
        if system::enlarge_pipe(&descriptor, PIPE_BYTES).is_err() {
            // OK because this is no pipe, or the user's share is used up: it works as it is.
        }
        Stdout { descriptor }
    }
}

fn ended() -> Trouble {
    Trouble::Ended(io::Error::from(io::ErrorKind::BrokenPipe))
}

impl Sink for Stdout {
    fn begin(&mut self) -> Result<(), Trouble> {
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, Trouble> {
        match self.descriptor.write(bytes) {
            Ok(0) => Err(Trouble::Blocked),
            Ok(count) => Ok(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                match system::wait_writable(&self.descriptor, WAIT_MAX) {
                    Ok(Wait::Ready | Wait::TimedOut) => Err(Trouble::Blocked),
                    Err(error) => Err(Trouble::Broken(error)),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Trouble::Ended(error)),
            Err(error) => Err(trouble(error)),
        }
    }

    fn finish(&mut self, _: &[u8]) -> Result<(), Trouble> {
        Ok(())
    }

    fn idle(&mut self) -> Result<(), Trouble> {
        if system::has_lost_reader(&self.descriptor) { Err(ended()) } else { Ok(()) }
    }

    fn reopen(&mut self) {}
}
