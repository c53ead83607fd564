//! The configuration as the rooms take it: one struct a table, built of the options of each room.
//!
//! A field says where the value of a key is kept. Everything else about a key, its default
//! included, is said by its entry in `keys`: `Default` here is the blank that the entries fill.

use crate::delivery::queue;
use crate::delivery::sink::{Durability, HttpOptions, RejectedOptions, Target};
use crate::delivery::spool::{SpoolOptions, WhenFull};
use crate::intake::gate::GateOptions;
use crate::intake::gate::auth::CredentialFiles;
use crate::observe::log::{Level, LogFormat};
use crate::push::mapping::{self, Measurement};
use crate::push::route::{Endpoint, normalise_prefix};
use crate::push::{self, Input, sample};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// The whole configuration, valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `[server]`
    pub server: ServerConfig,
    /// `[output]`
    pub output: OutputConfig,
    /// `[spool]`
    pub(crate) spool: SpoolConfig,
    /// `[log]`
    pub log: LogConfig,
    /// `[telemetry]`
    pub telemetry: TelemetryConfig,
    /// `[[inputs.pushgateway]]`, at least one.
    pub(crate) inputs: Vec<InputConfig>,
}

/// `[server]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerConfig {
    /// What the gate needs.
    pub gate: GateOptions,
    /// The size of the worker pool; 0 is one for each CPU, at least two.
    pub workers: usize,
    /// One body after decompression, in bytes.
    pub decoded_bytes_max: usize,
    /// One line, in bytes.
    pub line_bytes_max: usize,
    /// Where credentials are; `None` lets everybody push.
    pub auth_file: Option<PathBuf>,
}

/// `[output]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputConfig {
    /// Where lines go.
    pub(crate) target: Target,
    /// What the queue needs.
    pub queue: queue::QueueOptions,
    /// How long the end may take.
    pub drain_timeout: Duration,
    /// `fsync`
    pub(crate) durability: Durability,
    /// `[output.http]` and `[output.tls]`
    pub(crate) http: HttpOptions,
    /// `[output.rejected]`
    pub(crate) rejected: RejectedOptions,
    /// What is sent again after a break of a socket.
    pub(crate) replay: Duration,
}

/// `[spool]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SpoolConfig {
    /// The folder; `None` is no spool.
    pub dir: Option<PathBuf>,
    /// What it may take, in bytes.
    pub bytes_max: u64,
    /// How long lines may wait; `None` is without bound.
    pub age_max: Option<Duration>,
    /// How long a push waits for the output.
    pub after: Duration,
    /// What happens without room.
    pub when_full: WhenFull,
}

impl SpoolConfig {
    /// The options of a spool, where there is one.
    pub(crate) fn options(&self) -> Option<SpoolOptions> {
        let SpoolConfig { dir, bytes_max, age_max, after, when_full } = self;
        let (bytes_max, age_max) = (*bytes_max, *age_max);
        let (after, when_full) = (*after, *when_full);
        dir.clone().map(|dir| SpoolOptions { dir, bytes_max, age_max, after, when_full })
    }
}

/// `[log]`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogConfig {
    /// How much.
    pub level: Level,
    /// How it looks.
    pub format: LogFormat,
}

/// `[telemetry]`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TelemetryConfig {
    /// How often own figures go to the output; `None` is never.
    pub(crate) emit_interval: Option<Duration>,
}

/// One `[[inputs.pushgateway]]`, key by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct InputConfig {
    /// Normalised.
    pub route_prefix: String,
    /// Empty: not set.
    pub measurement_name: String,
    /// The job is the measurement.
    pub job_as_measurement: bool,
    /// The field keeps the whole name.
    pub keep_exist_metric_name: bool,
    /// Whose time counts.
    pub timestamps: mapping::Timestamps,
    /// Which names are allowed.
    pub names: sample::Names,
    /// `metric_allow` and `metric_deny`.
    pub filter: mapping::Filter,
    /// `tags_rename`, `tags_drop` and `tags_add`.
    pub tags: mapping::TagRules,
    /// Where the credentials of this input are; `None`: those of the server.
    pub auth_file: Option<PathBuf>,
    /// `measurements`
    pub measurement_rules: Vec<mapping::MeasurementRule>,
    /// May be empty.
    pub measurement_prefix: String,
}

impl Config {
    /// A configuration without a value or an input, to be filled with the defaults of the keys.
    pub(super) fn blank() -> Config {
        Config {
            server: ServerConfig::default(),
            output: OutputConfig::default(),
            spool: SpoolConfig::default(),
            log: LogConfig::default(),
            telemetry: TelemetryConfig::default(),
            inputs: Vec::new(),
        }
    }

    /// The size of the worker pool: as configured, or one for each CPU but at least two. A worker
    /// waits for nothing while there is work, so more of them would only take turns.
    pub fn workers(&self) -> usize {
        const MIN: usize = 2;
        match self.server.workers {
            0 => thread::available_parallelism().map_or(MIN, |cpus| cpus.get().max(MIN)),
            chosen => chosen,
        }
    }

    /// The options of the pushes.
    pub fn push(&self) -> push::PushLimits {
        push::PushLimits {
            decoded_bytes_max: self.server.decoded_bytes_max,
            line_bytes_max: self.server.line_bytes_max,
            lines_bytes_max: self.output.queue.bytes_max,
        }
    }

    /// Where credentials are.
    pub(crate) fn credential_files(&self) -> CredentialFiles {
        let input = |input: &InputConfig| (input.endpoint(), input.auth_file.clone());
        CredentialFiles {
            server: self.server.auth_file.clone(),
            inputs: self.inputs.iter().map(input).collect(),
        }
    }

    /// The inputs.
    pub fn inputs(&self) -> Vec<Input> {
        self.inputs.iter().map(InputConfig::input).collect()
    }
}

impl InputConfig {
    fn endpoint(&self) -> Endpoint {
        Endpoint { prefix: normalise_prefix(&self.route_prefix), names: self.names }
    }

    fn input(&self) -> Input {
        let measurement = match self {
            InputConfig { measurement_name, .. } if !measurement_name.is_empty() => {
                Measurement::Fixed(measurement_name.clone())
            }
            InputConfig { job_as_measurement: true, .. } => Measurement::Job,
            InputConfig { keep_exist_metric_name: true, .. } => Measurement::CutAndKeep,
            _ => Measurement::Cut,
        };
        Input {
            endpoint: self.endpoint(),
            mapping: mapping::MappingOptions {
                measurement,
                timestamps: self.timestamps,
                filter: self.filter.clone(),
                measurement_rules: self.measurement_rules.clone(),
                measurement_prefix: self.measurement_prefix.clone(),
                tags: self.tags.clone(),
            },
        }
    }
}
