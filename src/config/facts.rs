//! The configuration → what the status page tells of it: bounds by name, and its own text.

use super::options::Config;
use crate::status::Facts;
use std::time::Duration;

impl Config {
    /// What the status page tells. The path of the credentials is no secret; they are not in it.
    pub(crate) fn facts(&self) -> Facts {
        let (gate, queue) = (&self.server.gate, &self.output.queue);
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Facts {
            route_prefixes: self.inputs.iter().map(|input| input.route_prefix.clone()).collect(),
            limits: vec![
                ("max_body_bytes", gate.body_bytes_max as u64),
                ("max_decoded_bytes", self.server.decoded_bytes_max as u64),
                ("max_buffered_bytes", gate.buffered_bytes_max as u64),
                ("max_line_bytes", self.server.line_bytes_max as u64),
                ("max_connections", gate.connections_max as u64),
                ("queue_bytes", queue.bytes_max as u64),
                ("spool_bytes", self.spool.dir.as_ref().map_or(0, |_| self.spool.bytes_max)),
                ("head_timeout_ms", ms(gate.head_timeout)),
                ("body_timeout_ms", ms(gate.body_timeout)),
                ("idle_timeout_ms", ms(gate.idle_timeout)),
                ("ack_timeout_ms", ms(queue.ack_timeout)),
                ("drain_timeout_ms", ms(self.output.drain_timeout)),
            ],
            configuration: self.shown(),
        }
    }
}
