//! `[output]` and its tables: where lines go, how, and when a push is answered.

use crate::config::key::Reload::{NeedsRestart, Taken};
use crate::config::key::{Key, Section, Stored, field};
use crate::config::options::Config;
use crate::config::value_types::{Choice, OptionalPath, OutputTarget, Period, Size, Switch};
use crate::delivery::queue::Acknowledge;
use crate::delivery::sink::{BodyCoding, Durability, Target};
use crate::limits::{self, KIB, MIB, addressable_mib};
use std::time::Duration;

pub(super) static OUTPUT: Section<Config> = Section {
    name: "output",
    about: "",
    keys: &[
        Key {
            name: "target",
            about: "where lines go: `stdout`, `file:/path`, `tcp://host:port`, `unix:/path`, or the URL \
                    of a store's write API, `http://…` or `https://…`",
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
            about: "how long a push waits for that, the wait for room in the queue included; beyond: 503",
            reload: Taken,
            value: &Stored {
                is: Period::TIMEOUT,
                default: || Duration::from_secs(5),
                field: field!(Config, output.queue.ack_timeout),
            },
        },
        Key {
            name: "drain_timeout",
            about: "how long shutting down may take after SIGTERM",
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
                is: Size { min: 64 * KIB, max: addressable_mib(4096) },
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
        Key {
            name: "replay",
            about: "`tcp` and `unix` only: after a break, what was written within this time before \
                    it is sent again, at most 8MiB",
            reload: NeedsRestart,
            value: &Stored {
                is: Period::FROM_ZERO,
                default: || Duration::from_secs(5),
                field: field!(Config, output.replay),
            },
        },
    ],
};

pub(super) static HTTP: Section<Config> = Section {
    name: "output.http",
    about: "for a target that is a URL",
    keys: &[
        Key {
            name: "auth_file",
            about: "the store's credential, one line: `token …`, `bearer …` or `basic \
                    user:password`; SIGHUP reads that file again, and others must not be \
                    able to read it",
            reload: NeedsRestart,
            value: &Stored {
                is: OptionalPath,
                default: || None,
                field: field!(Config, output.http.auth_file),
            },
        },
        Key {
            name: "batch_bytes",
            about: "pushes that wait are joined into one request up to this size",
            reload: NeedsRestart,
            value: &Stored {
                is: Size { min: 4 * KIB, max: 16 * MIB },
                default: || MIB,
                field: field!(Config, output.http.batch_bytes),
            },
        },
        Key {
            name: "linger",
            about: "how long a smaller request waits for more pushes; below output.ack_timeout",
            reload: NeedsRestart,
            value: &Stored {
                is: Period { min: Duration::ZERO, max: Duration::from_secs(60) },
                default: || Duration::ZERO,
                field: field!(Config, output.http.linger),
            },
        },
        Key {
            name: "timeout",
            about: "how long one request may take, from the look-up of the host to the end of the \
                    answer",
            reload: NeedsRestart,
            value: &Stored {
                is: Period::TIMEOUT,
                default: || Duration::from_secs(10),
                field: field!(Config, output.http.timeout),
            },
        },
        Key {
            name: "gzip",
            about: "whether bodies are compressed; QuestDB refuses such ones",
            reload: NeedsRestart,
            value: &Stored {
                is: Switch { off: BodyCoding::Identity, on: BodyCoding::Gzip },
                default: || BodyCoding::Gzip,
                field: field!(Config, output.http.coding),
            },
        },
    ],
};

pub(super) static TLS: Section<Config> = Section {
    name: "output.tls",
    about: "for `https://…`; there is no way to switch verification off",
    keys: &[
        Key {
            name: "ca",
            about: "certificates that are trusted, PEM; empty: the system's; SIGHUP reads that \
                    file and the next two again",
            reload: NeedsRestart,
            value: &Stored {
                is: OptionalPath,
                default: || None,
                field: field!(Config, output.http.tls.ca),
            },
        },
        Key {
            name: "cert",
            about: "a certificate of our own, where the store asks for one, PEM, its chain included",
            reload: NeedsRestart,
            value: &Stored {
                is: OptionalPath,
                default: || None,
                field: field!(Config, output.http.tls.cert),
            },
        },
        Key {
            name: "key",
            about: "its key, PEM",
            reload: NeedsRestart,
            value: &Stored {
                is: OptionalPath,
                default: || None,
                field: field!(Config, output.http.tls.key),
            },
        },
    ],
};

pub(super) static REJECTED: Section<Config> = Section {
    name: "output.rejected",
    about: "lines that a store or a reader refuses for good",
    keys: &[
        Key {
            name: "file",
            about: "where they are kept, each after a comment that says why; empty: they are \
                    counted and logged only",
            reload: NeedsRestart,
            value: &Stored {
                is: OptionalPath,
                default: || None,
                field: field!(Config, output.rejected.file),
            },
        },
        Key {
            name: "max_bytes",
            about: "the bound of that file: at this size it is renamed to `….1`, and a new one is begun",
            reload: NeedsRestart,
            value: &Stored {
                is: Size { min: 64 * KIB, max: addressable_mib(4096) },
                default: || 16 * MIB,
                field: field!(Config, output.rejected.bytes_max),
            },
        },
    ],
};
