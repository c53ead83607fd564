//! `[output]`: where lines go, and when a push is answered.

use crate::config::key::Reload::{NeedsRestart, Taken};
use crate::config::key::{Key, Section, Stored, field};
use crate::config::options::Config;
use crate::config::value_types::{Choice, OutputTarget, Period, Size, Switch};
use crate::delivery::queue::Acknowledge;
use crate::delivery::sink::{Durability, Target};
use crate::limits::{self, KIB, MIB};
use std::time::Duration;

pub(super) static OUTPUT: Section<Config> = Section {
    name: "output",
    about: "",
    keys: &[
        Key {
            name: "target",
            about: "where lines go: `stdout`, `file:/path`, `tcp://host:port` or `unix:/path`",
            reload: NeedsRestart,
            value: &Stored {
                is: OutputTarget,
                default: || Target::Stdout,
                field: field!(Config, output.target),
            },
        },
        Key {
            name: "ack",
            about: "when a push is answered with 200: once it is `written` to the output, or once \
                    it is `queued`",
            reload: Taken,
            value: &Stored {
                is: Choice(&[("written", Acknowledge::Written), ("queued", Acknowledge::Queued)]),
                default: || Acknowledge::Written,
                field: field!(Config, output.queue.acknowledge),
            },
        },
        Key {
            name: "ack_timeout",
            about: "how long a push waits for that, for room in the queue included; beyond: 503",
            reload: Taken,
            value: &Stored {
                is: Period::TIMEOUT,
                default: || Duration::from_secs(5),
                field: field!(Config, output.queue.ack_timeout),
            },
        },
        Key {
            name: "drain_timeout",
            about: "how long the end may take after SIGTERM",
            reload: Taken,
            value: &Stored {
                is: Period::TIMEOUT,
                default: || Duration::from_secs(10),
                field: field!(Config, output.drain_timeout),
            },
        },
        Key {
            name: "queue_bytes",
            about: "lines that wait for the output; also the most that one push may become \
                    (beyond: 413), and the most that may wait for room (beyond: 503)",
            reload: Taken,
            value: &Stored {
                is: Size { min: 64 * KIB, max: 4096 * MIB },
                default: || limits::QUEUE_BYTES,
                field: field!(Config, output.queue.bytes_max),
            },
        },
        Key {
            name: "fsync",
            about: "`file` only: acknowledge after fsync",
            reload: NeedsRestart,
            value: &Stored {
                is: Switch { off: Durability::Written, on: Durability::Synced },
                default: || Durability::Written,
                field: field!(Config, output.durability),
            },
        },
    ],
};
