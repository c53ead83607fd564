//! The way of request numbers without tiny_http: what it costs is measured against this
//! (`scripts/bench`). Built in the place of `lane` by `--cfg pushline_without_tiny_http`, and not
//! shipped.

use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

#[derive(Debug, Default)]
struct Channel {
    numbers: Mutex<VecDeque<u64>>,
    has_more: Condvar,
}

/// Where the gate sends numbers.
#[derive(Debug)]
pub(super) struct ChannelEntry(Arc<Channel>);

/// Where workers receive them.
#[derive(Clone, Debug)]
pub(super) struct ChannelExit(Arc<Channel>);

/// Makes the way.
pub(super) fn open() -> io::Result<(ChannelEntry, ChannelExit)> {
    let channel = Arc::default();
    Ok((ChannelEntry(Arc::clone(&channel)), ChannelExit(channel)))
}

impl ChannelEntry {
    /// Sends a number.
    pub(super) fn push(&mut self, number: u64) {
        let mut numbers = self.0.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        numbers.push_back(number);
        self.0.has_more.notify_one();
    }

    /// Everything is sent.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    /// There is nothing to watch.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

impl ChannelExit {
    /// The next number.
    pub(super) fn receive(&self) -> u64 {
        let mut numbers = self.0.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match numbers.pop_front() {
                Some(number) => return number,
                None => {
                    let waited = self.0.has_more.wait(numbers);
                    numbers = waited.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}
