//! Blocks → a store's write API over HTTP (SPEC 3.2): one POST for each block, over a connection
//! that is kept.
//!
//! What a store takes whole costs nothing besides: only a block of which something is refused is
//! looked at line by line (`take_apart`). Each call of [`Sink::offer`] sends one request, and one
//! more where it looks for poison, so that whoever offers the block can look at its deadlines
//! between two calls; the place in the block is kept until the next call.
//!
//! # Poison
//! A store may fail with 500 because of one line, or because it is in trouble with every line. The
//! difference is told by a line that it took before: after five answers of 500 for one block, the
//! last line that was taken is sent again, which changes nothing in the store. If that is taken
//! too, the block is at fault, and is taken apart like one that is refused; if it fails too, the
//! store is, and nothing is dropped. No line is refused for a 500 without that proof.
//!
//! A sink that has not seen a line taken yet, as after a start with such a block at the head of the
//! spool, looks for one in the block itself: with each further answer of 500 it sends one part of
//! the block alone, first the halves, then the quarters (`poison`). The first part that is taken is
//! the proof. Of a block of one line it asks for a larger block, which the spool has as soon as
//! another line comes.

mod body_in_hand;
mod client;
mod connection;
mod credentials;
mod options;
mod poison;
mod proxy;
mod retry_after;
mod take_apart;
mod url;
mod verdict;

use super::block::Block;
use super::contract::{Gathering, Pauses, Sink};
use super::outcome::{RefusedLines, Taken, Trouble};
use super::progress::Progress;
use super::rejected::Rejected;
use crate::bytes::deflate::Gzip;
use crate::limits::KEPT_BUFFER_BYTES_MAX;
use crate::observe::log::Log;
use crate::observe::telemetry::{RejectReason, Telemetry};
pub(crate) use client::{Client, ClientError};
pub(crate) use options::{BodyCoding, HttpOptions};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use take_apart::{RefusedLine, TakeApart};
pub(crate) use url::{StoreUrl, UrlError};
use verdict::{StoreAnswer, Verdict, judge, words};

/// Answers of 500 for one block after which it is held against a line that was taken.
const FAULTS_MAX: u32 = 5;

/// Requests that are taken until a larger one is tried again, where one was too large.
const GROW_AFTER: u32 = 256;

/// Why lines are refused.
#[derive(Debug)]
struct Why {
    reason: RejectReason,
    status: u16,
    words: String,
}

/// A store behind HTTP.
#[derive(Debug)]
pub(super) struct Http {
    url: StoreUrl,
    options: HttpOptions,
    client: Client,
    gzip: Gzip,
    /// What is sent, where that is not one stretch of the block.
    body: Vec<u8>,
    /// The block in hand, once it is being taken apart.
    apart: Option<TakeApart<Why>>,
    /// The largest request that the store is known to take, in bytes before packing.
    request_bytes_max: usize,
    /// Requests that were taken since that bound last changed.
    taken_since: u32,
    /// A line that the store took.
    taken_line: Vec<u8>,
    /// Answers of 500 for the block in hand.
    faults: u32,
    /// Parts of that block that were sent alone, in search of one that is taken.
    probes: usize,
    /// That block is a single line, and so has no parts.
    has_no_parts: bool,
    /// The last request failed, and the next one sends its lines again.
    is_retry: bool,
    /// SIGHUP came.
    is_stale: bool,
    rejected: Rejected,
    telemetry: Arc<Telemetry>,
    log: Arc<Log>,
}

impl Http {
    /// Reads credentials and certificates; connects with the first block.
    ///
    /// # Errors
    /// One of them cannot be used.
    pub(super) fn open(
        url: &StoreUrl,
        options: &HttpOptions,
        rejected: Rejected,
        observers: (Arc<Telemetry>, Arc<Log>),
    ) -> Result<Http, ClientError> {
        let client = Client::open(url, options)?;
        let request_bytes_max = options.request_bytes_max();
        let (telemetry, log) = observers;
        Ok(Http {
            url: url.clone(),
            options: options.clone(),
            client,
            gzip: Gzip::new(),
            body: Vec::new(),
            apart: None,
            request_bytes_max,
            taken_since: 0,
            taken_line: Vec::new(),
            faults: 0,
            probes: 0,
            has_no_parts: false,
            is_retry: false,
            is_stale: false,
            rejected,
            telemetry,
            log,
        })
    }

    /// Reads credentials and certificates again; bad ones leave those in use that are.
    fn refresh(&mut self) {
        self.is_stale = false;
        self.rejected.reopen();
        self.request_bytes_max = self.options.request_bytes_max();
        match Client::open(&self.url, &self.options) {
            Ok(client) => self.client = client,
            Err(error) => {
                let fields: &[(&str, &dyn std::fmt::Display)] = &[("error", &error)];
                self.log.error("the output keeps its credentials and certificates", fields);
            }
        }
    }

    /// What is to be sent now, as ranges of the block.
    fn offered(&self, block: &Block) -> Vec<Range<usize>> {
        let whole = || std::iter::once(0..block.bytes().len()).collect();
        self.apart.as_ref().map_or_else(whole, |apart| apart.offered().unwrap_or_default())
    }

    fn post_lines(&mut self, block: &Block, ranges: &[Range<usize>]) -> io::Result<StoreAnswer> {
        if let [range] = ranges {
            return self.post(block.slice(range.clone()));
        }
        let mut body = std::mem::take(&mut self.body);
        body.clear();
        ranges.iter().for_each(|range| body.extend_from_slice(block.slice(range.clone())));
        let answer = self.post(&body);
        body.shrink_to(KEPT_BUFFER_BYTES_MAX);
        self.body = body;
        answer
    }

    /// Sends one request, and counts it.
    fn post(&mut self, lines: &[u8]) -> io::Result<StoreAnswer> {
        if std::mem::take(&mut self.is_retry) {
            self.telemetry.output.retries.increment();
        }
        let start = Instant::now();
        let answer = match self.options.coding {
            BodyCoding::Identity => self.client.post(lines, None),
            BodyCoding::Gzip => self.client.post(self.gzip.pack(lines), Some("gzip")),
        };
        self.gzip.shrink_to(KEPT_BUFFER_BYTES_MAX);
        let status = answer.as_ref().ok().map(|answer| answer.status);
        self.telemetry.output.requested(status, start.elapsed());
        answer
    }

    fn apart(&mut self, block: &Block) -> &mut TakeApart<Why> {
        let request_bytes_max = self.request_bytes_max;
        let telemetry = &self.telemetry;
        self.apart.get_or_insert_with(|| {
            telemetry.output.blocks_split.increment();
            begin(block, request_bytes_max)
        })
    }

    fn refused(&mut self, block: &Block, named: &[usize], why: Why) {
        self.apart(block).refused(named, why);
    }

    fn too_large(&mut self, block: &Block, why: Why) {
        let apart = self.apart(block);
        apart.too_large(why);
        let known = apart.part_bytes_max();
        self.request_bytes_max = self.request_bytes_max.min(known);
        self.taken_since = 0;
    }

    /// The store answered 500.
    fn faulty(&mut self, block: &Block, answer: &StoreAnswer) -> Result<(), Trouble> {
        self.faults = self.faults.saturating_add(1);
        if self.faults < FAULTS_MAX || !self.takes_others(block) {
            return Err(self.busy(answer));
        }
        let why = why(RejectReason::Poison, answer);
        self.refused(block, &[], why);
        Ok(())
    }

    /// Whether the store takes other lines than those that it fails over: one that it took before,
    /// or else a part of them.
    fn takes_others(&mut self, block: &Block) -> bool {
        if self.taken_line.is_empty() {
            return self.takes_a_part(block);
        }
        let line = std::mem::take(&mut self.taken_line);
        let answer = self.post(&line);
        self.taken_line = line;
        answer.is_ok_and(|answer| judge(&answer) == Verdict::Taken)
    }

    /// Whether the store takes the next part of what it fails over.
    fn takes_a_part(&mut self, block: &Block) -> bool {
        let ranges = self.offered(block);
        let lines: Vec<&[u8]> = ranges.into_iter().map(|range| block.slice(range)).collect();
        let lines = lines.concat();
        let Some((part, probes)) = poison::next_part(&lines, self.probes) else {
            self.has_no_parts = true;
            return false;
        };
        (self.probes, self.has_no_parts) = (probes, false);
        self.is_retry = true;
        let is_taken = self.post(part).is_ok_and(|answer| judge(&answer) == Verdict::Taken);
        if is_taken {
            self.taken(part);
        }
        is_taken
    }

    fn busy(&mut self, answer: &StoreAnswer) -> Trouble {
        self.is_retry = true;
        let error = io::Error::other(answer.to_string());
        Trouble::Broken { error, retry_after: answer.retry_after }
    }

    /// These lines are taken.
    fn taken(&mut self, lines: &[u8]) {
        let rest = lines.strip_suffix(b"\n").unwrap_or(lines);
        let start = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.taken_line.clear();
        self.taken_line.extend_from_slice(lines.get(start..).unwrap_or_default());
        self.taken_since += 1;
        // What was too large for the store may have been so for a while only.
        if self.taken_since >= GROW_AFTER {
            self.taken_since = 0;
            let larger = self.request_bytes_max.saturating_mul(2);
            self.request_bytes_max = larger.min(self.options.request_bytes_max());
        }
    }

    /// All lines of the block are settled.
    fn finish(&mut self, block: &Block) -> Taken {
        (self.faults, self.probes, self.has_no_parts) = (0, 0, false);
        let Some((lines, whys)) = self.apart.take().map(TakeApart::finish) else {
            return Taken::All;
        };
        if lines.is_empty() {
            return Taken::All;
        }
        let refused = refused_lines(&lines, &whys);
        self.rejected.keep(block, &refused, SystemTime::now());
        Taken::AllBut(refused)
    }
}

fn begin(block: &Block, request_bytes_max: usize) -> TakeApart<Why> {
    let ends: Vec<usize> = block.pushes().map(|(bytes, _)| bytes.end).collect();
    TakeApart::new(block.bytes(), &ends, request_bytes_max)
}

fn why(reason: RejectReason, answer: &StoreAnswer) -> Why {
    let words = match words(&answer.body) {
        words if words.is_empty() => format!("status {}", answer.status),
        words => words,
    };
    Why { reason, status: answer.status, words }
}

/// Lines that follow each other and are refused for one reason are told together.
fn refused_lines(lines: &[RefusedLine], whys: &[Why]) -> Vec<RefusedLines> {
    let mut refused: Vec<(usize, RefusedLines)> = Vec::new();
    for line in lines {
        match refused.last_mut() {
            Some((reason, last))
                if *reason == line.reason && last.bytes.end == line.bytes.start =>
            {
                last.bytes.end = line.bytes.end;
            }
            _ => {
                let Some(why) = whys.get(line.reason) else { continue };
                let Why { reason, status, words } = why;
                let (bytes, status) = (line.bytes.clone(), Some(*status));
                let (reason, words) = (*reason, words.clone());
                refused.push((line.reason, RefusedLines { bytes, reason, status, words }));
            }
        }
    }
    refused.into_iter().map(|(_, refused)| refused).collect()
}

impl Sink for Http {
    fn offer(&mut self, block: &Block, progress: &mut Progress) -> Result<Taken, Trouble> {
        if std::mem::take(&mut self.is_stale) {
            self.refresh();
        }
        if self.apart.is_none() && block.bytes().len() > self.request_bytes_max {
            self.apart = Some(begin(block, self.request_bytes_max));
        }
        let ranges = self.offered(block);
        let answer = self.post_lines(block, &ranges).map_err(|error| {
            self.is_retry = true;
            Trouble::Broken { error, retry_after: None }
        })?;
        match judge(&answer) {
            Verdict::Taken => {
                let last = ranges.last().cloned().unwrap_or_default();
                self.taken(block.slice(last));
                if let Some(apart) = &mut self.apart {
                    apart.taken();
                }
            }
            Verdict::Refused { named } => {
                self.refused(block, &named, why(RejectReason::Refused, &answer));
            }
            Verdict::TooLarge => self.too_large(block, why(RejectReason::TooLarge, &answer)),
            Verdict::Faulty => self.faulty(block, &answer)?,
            Verdict::Busy => return Err(self.busy(&answer)),
            Verdict::Misconfigured => {
                self.is_retry = true;
                return Err(Trouble::Misconfigured { words: answer.to_string() });
            }
        }
        let settled = self.apart.as_ref().map_or(block.bytes().len(), TakeApart::settled_bytes);
        progress.reached(settled);
        if settled < block.bytes().len() {
            return Err(Trouble::Blocked);
        }
        Ok(self.finish(block))
    }

    fn idle(&mut self) -> Result<(), Trouble> {
        if std::mem::take(&mut self.is_stale) {
            self.refresh();
        }
        Ok(())
    }

    fn reopen(&mut self) {
        self.is_stale = true;
    }

    fn wants_more(&self) -> bool {
        self.has_no_parts && self.apart.is_none()
    }

    fn gathering(&self) -> Gathering {
        Gathering { bytes_max: self.options.batch_bytes, linger: self.options.linger }
    }

    fn pauses(&self) -> Pauses {
        Pauses { first: Duration::from_millis(100), longest: Duration::from_secs(30) }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_tests;
