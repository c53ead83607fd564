//! Bytes → standard output, meant for a pipe.
//!
//! Writes go to a duplicate of the descriptor, without std's line buffer. A pipe that a supervisor
//! left non-blocking is waited for, never spun on. When the reader goes away the output has ended:
//! the process reports it and lets its supervisor restart the pipeline.

use super::block::Block;
use super::contract::{Sink, WAIT_MAX};
use super::outcome::{Taken, Trouble};
use super::progress::Progress;
use crate::limits::MIB;
use crate::system;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;

/// What a pipe is asked to hold: fewer, larger reads and writes.
const PIPE_BYTES: usize = MIB;

/// Standard output.
#[derive(Debug)]
pub(super) struct Stdout {
    descriptor: File,
    /// Bytes of the block in hand that are written.
    written: usize,
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
        Stdout { descriptor, written: 0 }
    }
}

fn ended() -> Trouble {
    Trouble::Ended(io::Error::from(io::ErrorKind::BrokenPipe))
}

impl Stdout {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Trouble> {
        match self.descriptor.write(bytes) {
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
}

impl Sink for Stdout {
    fn offer(&mut self, block: &Block, progress: &mut Progress) -> Result<Taken, Trouble> {
        let rest = block.slice(self.written..block.bytes().len());
        match self.write(rest) {
            Ok(count) if count == rest.len() => {
                self.written = 0;
                Ok(Taken::All)
            }
            Ok(count) => {
                self.written += count;
                progress.reached(self.written);
                Err(Trouble::Blocked)
            }
            Err(trouble) => {
                if !matches!(trouble, Trouble::Blocked) {
                    self.written = 0;
                }
                Err(trouble)
            }
        }
    }

    fn idle(&mut self) -> Result<(), Trouble> {
        if system::has_lost_reader(&self.descriptor) { Err(ended()) } else { Ok(()) }
    }

    fn reopen(&mut self) {}
}
