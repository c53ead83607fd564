//! What the thread of the gate owns.

use super::super::admission::Admission;
use super::super::connection::Connection;
use super::super::context::GateContext;
use super::super::notices::Notices;
use super::super::read_buffer::ReadBuffer;
use super::super::seats::Seats;
use super::super::socket::Listener;
use crate::intake::bridge::{GateEnd, Letter};
use crate::system::{Interest, Watch};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::AsFd;
use std::time::Instant;

/// Tokens: listeners have the first ones; connections have their numbers, and none is ever used
/// twice, so that what comes late for one never reaches another.
pub(super) const BRIDGE: u64 = 1 << 20;
pub(super) const MAILBOX: u64 = BRIDGE + 1;
pub(super) const FIRST_CONNECTION: u64 = BRIDGE + 2;

/// A listening socket.
#[derive(Debug)]
pub(super) struct Entrance {
    pub(super) listener: Listener,
    /// There may be connections to accept.
    pub(super) is_ready: bool,
}

/// Everything that the thread owns.
#[derive(Debug)]
pub(crate) struct Reactor {
    pub(super) context: GateContext,
    pub(super) watch: Watch,
    pub(super) entrances: Vec<Entrance>,
    pub(super) bridge: GateEnd,
    pub(super) bridge_interest: Interest,
    /// The letters that were taken last, emptied.
    pub(super) letters: Vec<Letter>,
    pub(super) connections: HashMap<u64, Connection>,
    pub(super) last_number: u64,
    pub(super) buffer: ReadBuffer,
    /// Connections that go on without a change.
    pub(super) unfinished: VecDeque<u64>,
    /// Connections that go on with their handshake, in their order.
    pub(super) handshakes: VecDeque<u64>,
    /// It is the turn of such a connection.
    pub(super) may_shake_hands: bool,
    pub(super) notices: Notices,
    pub(super) admission: Admission,
    /// No deadline of a connection is before this.
    pub(super) next_deadline: Option<Instant>,
    /// No `accept` before this.
    pub(super) accept_again: Option<Instant>,
    pub(super) seats: Seats,
    /// When everything that is in hand is cut off, once the gate closes.
    pub(super) closes_at: Option<Instant>,
}

impl Reactor {
    /// Has everything watched.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn new(
        context: GateContext,
        listeners: Vec<Listener>,
        bridge: GateEnd,
    ) -> io::Result<Reactor> {
        let watch = Watch::new()?;
        if let Some(descriptor) = bridge.descriptor() {
            watch.add(descriptor, BRIDGE, Interest::Readable)?;
        }
        watch.add(&**bridge.mailbox(), MAILBOX, Interest::Readable)?;
        let mut entrances = Vec::new();
        for (listener, token) in listeners.into_iter().zip(0..) {
            listener.prepare()?;
            watch.add(&listener, token, Interest::Readable)?;
            entrances.push(Entrance { listener, is_ready: true });
        }
        // A connection takes one more descriptor: a gate that could let nobody in does not open.
        bridge.mailbox().as_fd().try_clone_to_owned()?;
        Ok(Reactor {
            context,
            watch,
            entrances,
            bridge,
            bridge_interest: Interest::Readable,
            letters: Vec::new(),
            connections: HashMap::new(),
            last_number: FIRST_CONNECTION,
            buffer: ReadBuffer::new(),
            unfinished: VecDeque::new(),
            handshakes: VecDeque::new(),
            may_shake_hands: false,
            notices: Notices::default(),
            admission: Admission::default(),
            next_deadline: None,
            accept_again: None,
            seats: Seats::default(),
            closes_at: None,
        })
    }
}
