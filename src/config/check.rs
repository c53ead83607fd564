//! What no key alone can tell: values that exclude each other, and such as are most likely a
//! mistake.

use super::error::Conflict;
use super::options::Config;
use crate::delivery::queue::Acknowledge;
use crate::delivery::sink::{Durability, Target};
use crate::intake::gate::Listen;

/// All values of `config` that exclude each other.
pub(super) fn conflicts(config: &Config) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    for (index, input) in config.inputs.iter().enumerate() {
        let mut before = config.inputs.iter().take(index);
        if before.any(|other| other.route_prefix == input.route_prefix) {
            conflicts.push(Conflict::SamePrefix(input.route_prefix.clone()));
        }
    }
    let gate = &config.server.gate;
    for (index, listen) in gate.listen.iter().enumerate() {
        // Of port 0 the system makes another one each time.
        let is_any_port = matches!(listen, Listen::Tcp(address) if address.ends_with(":0"));
        if !is_any_port && gate.listen.iter().take(index).any(|other| other == listen) {
            conflicts.push(Conflict::SameAddress(listen.clone()));
        }
    }
    if gate.body_bytes_max > gate.buffered_bytes_max {
        conflicts.push(Conflict::BodyAboveBuffered {
            body_bytes_max: gate.body_bytes_max,
            buffered_bytes_max: gate.buffered_bytes_max,
        });
    }
    let output = &config.output;
    if output.durability == Durability::Synced && !matches!(output.target, Target::File(_)) {
        conflicts.push(Conflict::FsyncWithoutFile(output.target.clone()));
    }
    let (linger, ack_timeout) = (output.http.linger, output.queue.ack_timeout);
    let is_http = matches!(output.target, Target::Http(_));
    // With `ack = "queued"` nobody waits for what lingers.
    if is_http && output.queue.acknowledge == Acknowledge::Written && linger >= ack_timeout {
        conflicts.push(Conflict::LingerAboveTimeout { linger, ack_timeout });
    }
    if config.spool.dir.is_some() {
        if matches!(output.target, Target::Stdout | Target::File(_)) {
            conflicts.push(Conflict::SpoolWithoutNetwork(output.target.clone()));
        }
        let (after, ack_timeout) = (config.spool.after, output.queue.ack_timeout);
        if after >= ack_timeout {
            conflicts.push(Conflict::SpoolAfterTimeout { after, ack_timeout });
        }
    }
    conflicts
}

impl Config {
    /// What is allowed and yet most likely a mistake, each a sentence.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Target::Http(url) = &self.output.target
            && let Some(parameter) = url.wrong_precision()
        {
            warnings.push(format!(
                "output.target has {parameter}, and the timestamps of lines are nanoseconds"
            ));
        }
        warnings
    }
}
