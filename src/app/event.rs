//! What the main thread waits for, and how the other threads tell it.

use super::signals::SignalRequest;
use crate::supervise::watchdog::Liveness;
use std::sync::mpsc::Sender;

/// What the main thread waits for.
#[derive(Debug)]
pub(super) enum Event {
    /// A signal came.
    Signal(SignalRequest),
    /// An essential thread has ended without being asked to, by a panic or otherwise.
    ThreadLost(&'static str),
    /// The writer has ended, which it does when the queue is closed or the output has ended.
    WriterEnded,
    /// The watchdog has looked.
    Watched(Liveness),
    /// Nothing new comes any more: the gate and the queue are closed.
    Closed,
}

/// Tells the main thread.
pub(super) fn tell(events: &Sender<Event>, event: Event) {
    if events.send(event).is_err() {
        // OK because the main thread is ending already.
    }
}

/// What an essential thread calls when it ends: the one way in which the loss of a thread is told.
pub(super) fn on_lost(
    events: &Sender<Event>,
) -> impl Fn(&'static str) + Clone + Send + use<> + 'static {
    let events = events.clone();
    move |what| tell(&events, Event::ThreadLost(what))
}
