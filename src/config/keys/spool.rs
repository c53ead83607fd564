//! `[spool]`: where lines wait while the output does not take them.

use crate::config::key::Reload::NeedsRestart;
use crate::config::key::{Key, Section, Stored, field};
use crate::config::options::Config;
use crate::config::value_types::{Choice, DiskSize, OptionalPath, OptionalPeriod, Period};
use crate::delivery::spool::WhenFull;
use crate::limits;
use std::time::Duration;

/// A year, in seconds.
const YEAR_SECS: u64 = 365 * 24 * 3600;

pub(super) static SPOOL: Section<Config> = Section {
    name: "spool",
    about: "",
    keys: &[
        Key {
            name: "dir",
            about: "a folder where lines wait on disk while the output does not take them; empty: \
                    none. For `tcp`, `unix` and HTTP outputs. It is made; the folders above it \
                    must be there",
            reload: NeedsRestart,
            value: &Stored { is: OptionalPath, default: || None, field: field!(Config, spool.dir) },
        },
        Key {
            name: "max_bytes",
            about: "what it may take of the disk",
            reload: NeedsRestart,
            value: &Stored {
                is: DiskSize { min: 1 << 20, max: 1 << 40 },
                default: || limits::SPOOL_BYTES,
                field: field!(Config, spool.bytes_max),
            },
        },
        Key {
            name: "max_age",
            about: "lines that have waited for longer are dropped and counted, but not while the \
                    request that has them is being tried",
            reload: NeedsRestart,
            value: &Stored {
                is: OptionalPeriod(Period {
                    min: Duration::from_secs(1),
                    max: Duration::from_secs(YEAR_SECS),
                }),
                default: || None,
                field: field!(Config, spool.age_max),
            },
        },
        Key {
            name: "after",
            about: "how long a push waits for the output before it goes to the spool; less than \
                    `output.ack_timeout`",
            reload: NeedsRestart,
            value: &Stored {
                is: Period { min: Duration::from_millis(10), max: Duration::from_secs(60) },
                default: || Duration::from_secs(1),
                field: field!(Config, spool.after),
            },
        },
        Key {
            name: "full",
            about: "what happens without room: `refuse` answers pushes with 503, `drop_oldest` \
                    drops the oldest lines",
            reload: NeedsRestart,
            value: &Stored {
                is: Choice(&[("refuse", WhenFull::Refuse), ("drop_oldest", WhenFull::DropOldest)]),
                default: || WhenFull::Refuse,
                field: field!(Config, spool.when_full),
            },
        },
    ],
};
