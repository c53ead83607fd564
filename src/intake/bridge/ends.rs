//! The two ends of the bridge: the gate sends a request over it, a worker receives that, and its
//! answer comes back to the gate.

#[cfg(pushline_without_tiny_http)]
use super::direct::{self as lane, ChannelEntry as LaneEntry, ChannelExit as LaneExit};
#[cfg(not(pushline_without_tiny_http))]
use super::lane::{self, LaneEntry, LaneExit};

use super::answer::Answer;
use super::mailbox::{Letter, Mailbox};
use super::probe::Probe;
use super::request::Request;
use super::transit::InTransit;
use crate::heartbeat::Beat;
use std::io;
use std::ops::RangeInclusive;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

/// The number that the watchdog's request has; no connection has it.
const PROBE: u64 = 0;

/// Makes the bridge.
///
/// # Errors
/// What the system says: no descriptor, no thread.
pub(crate) fn open() -> io::Result<(GateEnd, WorkerEnd)> {
    let (entry, exit) = lane::open()?;
    let (in_transit, mailbox) = (Arc::<InTransit>::default(), Arc::new(Mailbox::new()?));
    let probe = Probe::new(Arc::clone(&mailbox));
    let gate = GateEnd {
        lane: entry,
        in_transit: Arc::clone(&in_transit),
        mailbox: Arc::clone(&mailbox),
        probe,
        beat: Arc::default(),
    };
    Ok((gate, WorkerEnd { lane: exit, in_transit, mailbox }))
}

/// The gate's end.
#[derive(Debug)]
pub struct GateEnd {
    lane: LaneEntry,
    in_transit: Arc<InTransit>,
    mailbox: Arc<Mailbox>,
    probe: Probe,
    beat: Arc<Beat>,
}

impl GateEnd {
    /// A request to be filled.
    pub(crate) fn spare(&self) -> Request {
        self.in_transit.spare()
    }

    /// An empty buffer that held a large body, of a size in this range, where there is one.
    pub(crate) fn spare_body(&self, bytes: RangeInclusive<usize>) -> Option<Vec<u8>> {
        self.in_transit.spare_body(bytes)
    }

    /// Takes a request back that is not sent.
    pub(crate) fn give_back(&self, request: Request) {
        self.in_transit.give_back(request);
    }

    /// Has a request received by a worker. Its answer comes to the mailbox with the same number.
    pub(crate) fn send(&mut self, number: u64, request: Request) {
        self.in_transit.put(number, request);
        self.lane.push(number);
    }

    /// Gives up waiting for a worker: true where none has taken the request, and none will.
    pub(crate) fn withdraw(&mut self, number: u64) -> bool {
        self.in_transit.take(number).is_some()
    }

    /// Sends the watchdog's request.
    pub(crate) fn send_probe(&mut self) {
        self.lane.push(PROBE);
    }

    /// A worker got the watchdog's request.
    pub(crate) fn probe_is_answered(&self) {
        self.probe.is_answered();
    }

    /// Lets go what was sent; false where some of it must wait until the descriptor is writable.
    ///
    /// # Errors
    /// The way broke, which is a defect.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        self.lane.flush()
    }

    /// What becomes writable again, and readable only by a defect.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.lane.descriptor()
    }

    /// Where answers and orders come.
    pub(crate) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// The beat of the gate.
    pub(crate) fn beat(&self) -> Arc<Beat> {
        Arc::clone(&self.beat)
    }

    /// What a watchdog asks by.
    pub(crate) fn probe(&self) -> Probe {
        self.probe.clone()
    }
}

/// The workers' end: all of them have it.
#[derive(Clone, Debug)]
pub struct WorkerEnd {
    lane: LaneExit,
    in_transit: Arc<InTransit>,
    mailbox: Arc<Mailbox>,
}

impl WorkerEnd {
    /// The next request, and the way back to its client.
    pub(crate) fn receive(&self) -> (Request, ReplyTo) {
        loop {
            let number = self.lane.receive();
            if number == PROBE {
                self.mailbox.post(Letter::ProbeAnswered);
            } else if let Some(request) = self.in_transit.take(number) {
                let mailbox = Arc::clone(&self.mailbox);
                return (request, ReplyTo { number, mailbox, is_answered: false });
            }
        }
    }

    /// Takes a request back that was served.
    pub(crate) fn give_back(&self, request: Request) {
        self.in_transit.give_back(request);
    }
}

/// The way back to a client. Dropped without an answer, as by a panic, it tells the client of a
/// defect.
#[derive(Debug)]
pub(crate) struct ReplyTo {
    number: u64,
    mailbox: Arc<Mailbox>,
    is_answered: bool,
}

impl ReplyTo {
    /// Answers.
    pub(crate) fn answer(mut self, answer: Answer) {
        self.post(answer);
    }

    fn post(&mut self, answer: Answer) {
        self.is_answered = true;
        self.mailbox.post(Letter::Answer { number: self.number, answer });
    }
}

impl Drop for ReplyTo {
    fn drop(&mut self) {
        if !self.is_answered {
            self.post(Answer::defect());
        }
    }
}
