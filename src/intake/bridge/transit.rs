//! Requests on their way to a worker: the gate puts each there under its number, and the worker
//! that receives the number takes it. Used ones come back, so that their buffers are used again.

use super::request::Request;
use super::spare_bodies::SpareBodies;
use crate::limits::SPARE_REQUESTS_MAX;
use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Requests that no worker has taken yet: one at most for each connection of the gate.
#[derive(Debug, Default)]
pub(super) struct InTransit {
    requests: Mutex<HashMap<u64, Request>>,
    /// Used requests, cleared.
    spares: Mutex<Vec<Request>>,
    /// What held the large bodies among them.
    spare_bodies: Mutex<SpareBodies>,
}

impl InTransit {
    pub(super) fn put(&self, number: u64, request: Request) {
        lock(&self.requests).insert(number, request);
    }

    /// Takes a request: the worker that is to serve it, or the gate that gives up waiting for one.
    /// Whoever comes first has it.
    pub(super) fn take(&self, number: u64) -> Option<Request> {
        lock(&self.requests).remove(&number)
    }

    /// A request to be filled, in the buffers of a used one where there is one.
    pub(super) fn spare(&self) -> Request {
        lock(&self.spares).pop().unwrap_or_default()
    }

    /// An empty buffer that held a large body, of a size in this range.
    pub(super) fn spare_body(&self, bytes: RangeInclusive<usize>) -> Option<Vec<u8>> {
        lock(&self.spare_bodies).take(bytes)
    }

    /// Takes a used request back. What it held is given up here and now.
    pub(super) fn give_back(&self, mut request: Request) {
        if let Some(large) = request.body.take_large() {
            lock(&self.spare_bodies).give_back(large);
        }
        request.clear();
        let mut spares = lock(&self.spares);
        if spares.len() < SPARE_REQUESTS_MAX {
            spares.push(request);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A map or a list is never left half-changed, so a poisoned lock is as good as any.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
