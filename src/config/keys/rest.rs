//! `[log]` and `[telemetry]`: what pushline says of itself.

use crate::config::key::Reload::Taken;
use crate::config::key::{Key, Section, Stored, field};
use crate::config::options::Config;
use crate::config::value_types::{Choice, OptionalPeriod, Period};
use crate::observe::log::{Level, LogFormat};

pub(super) static LOG: Section<Config> = Section {
    name: "log",
    about: "",
    keys: &[
        Key {
            name: "level",
            about: "`error`, `warn`, `info` or `debug`, which adds the mistakes of pushers",
            reload: Taken,
            value: &Stored {
                is: Choice(&[
                    ("error", Level::Error),
                    ("warn", Level::Warn),
                    ("info", Level::Info),
                    ("debug", Level::Debug),
                ]),
                default: || Level::Info,
                field: field!(Config, log.level),
            },
        },
        Key {
            name: "format",
            about: "`logfmt` or `json`, on standard error",
            reload: Taken,
            value: &Stored {
                is: Choice(&[("logfmt", LogFormat::Logfmt), ("json", LogFormat::Json)]),
                default: || LogFormat::Logfmt,
                field: field!(Config, log.format),
            },
        },
    ],
};

pub(super) static TELEMETRY: Section<Config> = Section {
    name: "telemetry",
    about: "",
    keys: &[Key {
        name: "emit_interval",
        about: "how often what `GET /metrics` says is also written to the output as lines, with \
                the measurements `pushline` and `process` and the tag `job=pushline`",
        reload: Taken,
        value: &Stored {
            is: OptionalPeriod(Period::INTERVAL),
            default: || None,
            field: field!(Config, telemetry.emit_interval),
        },
    }],
};
