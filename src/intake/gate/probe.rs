//! Probes → answers, by the gate itself: they are answered at once, whatever the pushes are doing.

use crate::intake::bridge::Answer;
use crate::push::route::HealthCheck;
use crate::status::Status;

/// Answers a probe.
pub(super) fn answer(probe: HealthCheck, status: &Status) -> Answer {
    match probe {
        HealthCheck::Healthy => Answer::text(200, "healthy"),
        HealthCheck::Ready => match status.ready() {
            Ok(()) => Answer::text(200, "ready"),
            Err(why) => Answer::text(503, why),
        },
    }
}
