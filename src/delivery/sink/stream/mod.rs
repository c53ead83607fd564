//! Blocks → a TCP or Unix stream socket: connected, and connected again.
//!
//! A write that has returned says that the system has the bytes, not that the reader has them: when
//! a reader dies, what was in the socket buffers of both sides is lost though it was acknowledged.
//! So the pushes of the last moments are kept (`recent`), and after a reconnect they are sent again
//! before anything else. Points may arrive twice then; they are the same points, with the same
//! timestamps. What a reader had read, and not kept, is not covered: that is its own loss.
//!
//! That alone would never get beyond a line at which a reader hangs up. So where a reader closes
//! again and again without taking anything new, the sink looks for that line (`suspects`).
//!
//! The reader's answers, if it sends any, are read and dropped, so that they never fill up.

mod connection;
mod recent;
mod suspects;
#[cfg(test)]
mod tests;

use super::block::{Block, count_lines};
use super::contract::{Sink, Unsettled, WAIT_MAX};
use super::outcome::{RefusedLines, Taken, Trouble};
use super::progress::Progress;
use super::rejected::Rejected;
use crate::observe::log::Log;
use crate::observe::telemetry::{RejectReason, Telemetry};
use connection::{PeerConnection, Said};
use recent::Recent;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use suspects::{HELD_FOR, RefusedPush, Suspects};

pub(super) use connection::Peer;

/// Closes in a row, without anything new taken, after which a reader refuses something.
const CLOSES_MAX: u32 = 3;
/// What is told of a reader that does.
const REFUSES: &str = "the reader closes its connection at something that it is sent";

/// A stream socket.
#[derive(Debug)]
pub(super) struct Socket {
    peer: Peer,
    rejected: Rejected,
    telemetry: Arc<Telemetry>,
    log: Arc<Log>,
    open: Option<Open>,
    recent: Recent,
    /// Bytes of the block in hand that this connection has taken.
    written: usize,
    /// Bytes of the block in hand that an earlier connection had taken.
    written_before: usize,
    /// How often the reader closed in a row without taking anything new.
    closes: u32,
    /// Among which the reader closes at one, while that is being found out.
    suspects: Option<Suspects>,
}

/// What is known of the open connection.
#[derive(Debug)]
struct Open {
    connection: PeerConnection,
    since: Instant,
    /// How far the recent pushes are sent again; none where they need not be, any more.
    replay: Option<ReplayPlace>,
    /// Something was sent on it.
    has_sent: bool,
    /// Since when it has something that no connection had before.
    new_since: Option<Instant>,
    /// Bytes of the suspects in hand that are sent on it.
    suspects_sent: usize,
    /// Until when the reader must not close, so that what it was sent last counts as taken.
    holds_until: Option<Instant>,
}

/// A place in the recent pushes.
#[derive(Clone, Copy, Debug, Default)]
struct ReplayPlace {
    chunk: usize,
    at: usize,
}

impl Socket {
    /// Not connected yet; what was written in the last `replay` is sent again after a break.
    pub(super) fn new(
        peer: Peer,
        replay: Duration,
        rejected: Rejected,
        (telemetry, log): (Arc<Telemetry>, Arc<Log>),
    ) -> Socket {
        Socket {
            peer,
            rejected,
            telemetry,
            log,
            open: None,
            recent: Recent::new(replay),
            written: 0,
            written_before: 0,
            closes: 0,
            suspects: None,
        }
    }

    /// The open connection, made where there is none.
    fn connect(&mut self, replay: Option<ReplayPlace>) -> Result<&mut Open, Trouble> {
        if self.open.is_none() {
            let connection = PeerConnection::open(&self.peer)?;
            let replayed = replay.map_or(0, |_| self.recent.bytes());
            self.log.info("connected to the output", &[("replayed_bytes", &replayed)]);
            self.written = 0;
            let open = Open {
                connection,
                since: Instant::now(),
                replay,
                has_sent: false,
                new_since: None,
                suspects_sent: 0,
                holds_until: None,
            };
            return Ok(self.open.insert(open));
        }
        // OK because it was looked at just now.
        self.open.as_mut().ok_or(Trouble::Blocked)
    }

    /// Connects where that is needed, sends again what the reader before may not have read, and
    /// takes what this one says.
    fn advance(&mut self) -> Result<(), Trouble> {
        self.forget();
        self.connect(Some(ReplayPlace::default()))?;
        while let Some(open) = &mut self.open
            && let Some(place) = &mut open.replay
        {
            let Some(chunk) = self.recent.chunk(place.chunk) else {
                open.replay = None;
                break;
            };
            let rest = chunk.bytes.get(place.at..).unwrap_or_default();
            if rest.is_empty() {
                self.telemetry.lines_resent.add(chunk.line_count());
                *place = ReplayPlace { chunk: place.chunk + 1, at: 0 };
                continue;
            }
            open.has_sent = true;
            match open.connection.write(rest) {
                Ok(count) => place.at += count,
                Err(error) => return Err(self.broken(error)),
            }
        }
        self.listen(Duration::ZERO).map_err(|error| self.broken(error))
    }

    /// Lets go of recent pushes that have grown too old. Between a break and the end of what is
    /// sent again after it all of them stay: that may take as long as the reader does, and the
    /// place in them must hold.
    fn forget(&mut self) {
        if self.open.as_ref().is_some_and(|open| open.replay.is_none()) {
            self.recent.forget(Instant::now());
        }
    }

    fn listen(&mut self, patience: Duration) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let log = &self.log;
        let heard = |said: &Said| log.debug("the consumer says", &[("text", said)]);
        open.connection.listen(patience, heard)
    }

    /// The connection failed, unless it only has no room now: then the reader may be waiting until
    /// its answers are read.
    fn broken(&mut self, error: io::Error) -> Trouble {
        match Trouble::from(error) {
            Trouble::Blocked => match self.listen(Duration::ZERO) {
                Ok(()) => Trouble::Blocked,
                Err(error) => self.closed(Trouble::from(error)),
            },
            trouble => self.closed(trouble),
        }
    }

    /// The reader has closed the connection.
    fn closed(&mut self, trouble: Trouble) -> Trouble {
        self.forget();
        let Some(open) = self.open.take() else { return trouble };
        self.written_before = self.written_before.max(self.written);
        self.written = 0;
        let is_new = |since: Instant| since.elapsed() >= HELD_FOR;
        if open.new_since.is_some_and(is_new) {
            self.closes = 0;
        } else if open.has_sent {
            self.closes += 1;
        }
        if self.closes < CLOSES_MAX {
            return trouble;
        }
        self.closes = 0;
        self.suspects = Some(Suspects::new(self.recent.take()));
        self.log.warn("the reader refuses something, searching for it", &[("why", &REFUSES)]);
        refuses()
    }

    /// Offers the suspects, and the block in hand, until each is taken or refused.
    fn search(&mut self, block: Option<&Block>) -> Result<Taken, Trouble> {
        loop {
            if let (Some(suspects), Some(block)) = (&mut self.suspects, block) {
                suspects.add(block);
            }
            let Some(suspects) = &self.suspects else { return Ok(Taken::All) };
            let needs_proof = suspects.needs_proof();
            if suspects.current(block).is_none() {
                return Ok(self.found(block));
            }
            if self.open.is_none() {
                let open = self.connect(None)?;
                if needs_proof {
                    open.holds_until = Some(Instant::now() + HELD_FOR);
                }
            }
            self.offer_suspects(block)?;
        }
    }

    /// One step of that.
    fn offer_suspects(&mut self, block: Option<&Block>) -> Result<(), Trouble> {
        let (Some(open), Some(suspects)) = (&mut self.open, &mut self.suspects) else {
            return Ok(());
        };
        let Some(bytes) = suspects.current(block) else { return Ok(()) };
        let is_sent = open.suspects_sent == bytes.len();
        if let Some(until) = open.holds_until {
            let left = until.saturating_duration_since(Instant::now());
            if let Err(error) = self.listen(left.min(WAIT_MAX)) {
                return if is_sent { self.suspects_closed() } else { Err(self.unproven(error)) };
            }
            if Instant::now() < until {
                return Err(refuses());
            }
        }
        // OK because both were there before.
        let (Some(open), Some(suspects)) = (&mut self.open, &mut self.suspects) else {
            return Ok(());
        };
        open.holds_until = None;
        if is_sent {
            open.suspects_sent = 0;
            if let Some(taken) = suspects.taken() {
                self.telemetry.lines_resent.add(taken.line_count());
                self.recent.put_back(taken);
            }
            return Ok(());
        }
        let Some(bytes) = suspects.current(block) else { return Ok(()) };
        let rest = bytes.get(open.suspects_sent..).unwrap_or_default();
        match open.connection.write(rest) {
            Ok(count) => {
                open.suspects_sent += count;
                if count == rest.len() {
                    open.holds_until = Some(Instant::now() + HELD_FOR);
                }
                Ok(())
            }
            Err(error) => match Trouble::from(error) {
                Trouble::Blocked if self.listen(Duration::ZERO).is_ok() => Err(refuses()),
                _ => self.suspects_closed(),
            },
        }
    }

    /// A reader that closes though nothing is sent does not refuse a push.
    fn unproven(&mut self, error: io::Error) -> Trouble {
        self.open = None;
        self.suspects.as_mut().map(Suspects::lost);
        let words = format!("the reader closes though nothing is sent ({error})");
        Trouble::Broken { error: io::Error::new(error.kind(), words), retry_after: None }
    }

    /// The reader has closed at the suspects in hand.
    fn suspects_closed(&mut self) -> Result<(), Trouble> {
        self.open = None;
        let refused = self.suspects.as_mut().and_then(Suspects::closed);
        if let Some(RefusedPush::Recent(lines)) = refused {
            let mut block = Block::default();
            let line_count = u32::try_from(count_lines(&lines)).unwrap_or(u32::MAX);
            block.append(&lines, line_count);
            let refused = [refused_lines(0..lines.len())];
            self.rejected.keep(&block, &refused, SystemTime::now());
        }
        Ok(())
    }

    /// Each suspect is taken or refused; what became of the block in hand.
    ///
    /// What was taken is recent again. Where the reader has closed meanwhile, all of it is sent
    /// again: a reader that dies a moment after each connect had not kept it.
    fn found(&mut self, block: Option<&Block>) -> Taken {
        let Some(suspects) = self.suspects.take() else { return Taken::All };
        self.log.info("what the reader refuses is found, everything else is delivered", &[]);
        if let Some(block) = block {
            self.recent.add(&suspects.taken_of(block), Instant::now());
        }
        if let Some(open) = self.open.as_mut().filter(|_| suspects.has_closed()) {
            open.replay = Some(ReplayPlace::default());
        }
        let refused: Vec<_> = suspects.into_refused().into_iter().map(refused_lines).collect();
        if refused.is_empty() { Taken::All } else { Taken::AllBut(refused) }
    }
}

fn refuses() -> Trouble {
    Trouble::ReaderRefuses { words: REFUSES.to_owned() }
}

fn refused_lines(bytes: std::ops::Range<usize>) -> RefusedLines {
    RefusedLines {
        bytes,
        reason: RejectReason::Disconnected,
        status: None,
        words: "the reader closed its connection at it, twice".to_owned(),
    }
}

impl Sink for Socket {
    fn offer(&mut self, block: &Block, progress: &mut Progress) -> Result<Taken, Trouble> {
        if self.suspects.is_some() {
            let taken = self.search(Some(block))?;
            if let Taken::AllBut(refused) = &taken {
                self.rejected.keep(block, refused, SystemTime::now());
            }
            (self.written, self.written_before) = (0, 0);
            return Ok(taken);
        }
        if self.written == 0 {
            self.advance()?;
        }
        let rest = block.slice(self.written..block.bytes().len());
        // OK because it was connected just now, or would have broken with the bytes written.
        let Some(open) = &mut self.open else { return Err(Trouble::Blocked) };
        open.has_sent = true;
        match open.connection.write(rest) {
            Ok(count) => self.written += count,
            Err(error) => return Err(self.broken(error)),
        }
        if self.written > self.written_before && open.new_since.is_none() {
            open.new_since = Some(Instant::now());
        }
        if self.written < block.bytes().len() {
            progress.reached(self.written);
            return Err(Trouble::Blocked);
        }
        let again = count_lines(block.slice(0..self.written_before));
        self.telemetry.lines_resent.add(again);
        self.recent.keep(block, Instant::now());
        (self.written, self.written_before) = (0, 0);
        Ok(Taken::All)
    }

    fn idle(&mut self) -> Result<(), Trouble> {
        if self.suspects.is_some() {
            return self.search(None).map(drop);
        }
        self.advance()?;
        // A connection works once it has held: a proxy without a reader takes it, and closes.
        let is_new = |open: &Open| open.since.elapsed() < HELD_FOR;
        if self.open.as_ref().is_some_and(is_new) { Err(Trouble::Blocked) } else { Ok(()) }
    }

    fn reopen(&mut self) {
        self.rejected.reopen();
    }

    fn unsettled(&self) -> Unsettled {
        let suspects = self.suspects.as_ref().map(Suspects::since);
        let since = suspects.into_iter().chain(self.recent.since()).min();
        let is_sent = self.open.as_ref().is_some_and(|open| open.replay.is_none());
        let is_in_doubt = self.suspects.is_some() || (since.is_some() && !is_sent);
        Unsettled { since, is_in_doubt }
    }
}
