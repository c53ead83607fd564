//! A push that became lines, until the queue says what came of them.

use super::records::Records;
use super::settings::InputSettings;
use crate::delivery::queue;
use crate::intake::bridge::{Answer, ReplyTo};
use crate::push::Converted;
use crate::push::route::Group;
use crate::status;
use std::fmt;
use std::sync::Arc;

/// A push whose lines are on their way, and the way back to its client.
pub(crate) struct Pending {
    pub(super) reply_to: ReplyTo,
    pub(super) records: Records,
    pub(super) accepted: Accepted,
}

/// A push that became lines.
#[derive(Debug)]
pub(super) struct Accepted {
    /// What it came to; its lines are on their way.
    pub(super) converted: Converted,
    /// Bytes that it was sent with.
    pub(super) body_bytes: usize,
    /// The settings that it was converted by.
    pub(super) settings: Arc<InputSettings>,
    /// Which of their inputs took it.
    pub(super) input: usize,
    /// The labels of its URL.
    pub(super) group: Arc<Group>,
    /// When it was received, in nanoseconds since the Unix epoch.
    pub(super) received_ns: i64,
    /// The name in the certificate of its client.
    pub(super) client: Option<Arc<str>>,
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").finish_non_exhaustive()
    }
}

impl queue::Reply for Pending {
    fn answer(self, outcome: Result<(), queue::Undelivered>) {
        let Pending { reply_to, records, accepted } = self;
        match outcome {
            Ok(()) => {
                accepted.count(&records);
                reply_to.answer(Answer::empty(200));
            }
            Err(undelivered) => {
                let answer = Answer::text(undelivered.status(), &undelivered);
                records.telemetry.refused(undelivered.reason());
                records.status.refused(&accepted.seen(), answer.status, &undelivered);
                reply_to.answer(answer);
            }
        }
    }
}

impl Accepted {
    /// Counts it, once it is answered with 200.
    fn count(&self, records: &Records) {
        let (telemetry, converted) = (&records.telemetry, &self.converted);
        telemetry.accepted(converted.format.name(), converted.coding.name());
        telemetry.body_bytes.add(self.body_bytes as u64);
        telemetry.decoded_bytes.add(converted.decoded_bytes as u64);
        telemetry.samples_read.add(converted.sample_count);
        telemetry.skipped_not_finite.add(converted.skipped.not_finite);
        telemetry.skipped_bound_nan.add(converted.skipped.bound_nan);
        telemetry.skipped_filtered.add(converted.skipped.filtered);
        telemetry.labels_overruled.add(converted.doubtful.labels_overruled);
        telemetry.timestamps_implausible.add(converted.doubtful.timestamps_implausible);
        let tally = status::Tally {
            format: converted.format,
            coding: converted.coding,
            sample_count: converted.sample_count,
            line_count: converted.line_count,
        };
        records.status.accepted(&self.seen(), &tally);
    }

    fn seen(&self) -> status::Push<'_> {
        let input = self.settings.inputs.get(self.input);
        let route_prefix = input.map_or("", |input| &*input.endpoint.prefix);
        let (group, received_ns, client) = (&self.group, self.received_ns, self.client.as_deref());
        status::Push { route_prefix, group, received_ns, client }
    }
}
