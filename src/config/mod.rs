//! TOML and environment → validated options of each module (SPEC 4).
//!
//! Defaults, then the file, then the environment: each source is a list of settings with their
//! places, and each setting goes through `keys::set`, which knows every key. Every mistake is
//! collected, so that an operator mends all of them at once. The stages own their options; this is
//! the only room that knows all of them.

mod change;
mod environment;
mod error;
mod facts;
mod file;
mod keys;
mod print;
mod raw;
mod rules;
mod value;

use crate::delivery::queue;
use crate::delivery::queue::Acknowledge;
use crate::delivery::sink::{Durability, Target};
use crate::intake::gate;
use crate::limits;
use crate::observe::log;
use crate::push::mapping::Measurement;
use crate::push::route::normalise_prefix;
use crate::push::{self, Input};
use crate::push::{mapping, sample};
use error::{Mistake, Place, What};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

pub(crate) use change::Change;
pub use error::Error;

/// The whole configuration, valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[output]`
    pub output: Output,
    /// `[log]`
    pub log: Log,
    /// `[telemetry]`
    pub telemetry: Telemetry,
    /// `[[inputs.pushgateway]]`, at least one.
    pub(crate) inputs: Vec<InputConfig>,
}

/// `[server]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// What the gate needs.
    pub gate: gate::Options,
    /// The size of the worker pool; 0 is one for each CPU, at least two.
    pub workers: usize,
    /// One body after decompression, in bytes.
    pub decoded_bytes_max: usize,
    /// Where credentials are; none where it is open.
    pub auth_file: Option<PathBuf>,
}

/// `[output]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Where lines go.
    pub(crate) target: Target,
    /// What the queue needs.
    pub queue: queue::QueueOptions,
    /// How long the end may take.
    pub drain_timeout: Duration,
    /// `fsync`
    pub(crate) durability: Durability,
}

/// `[log]`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// How much.
    pub level: log::Level,
    /// How it looks.
    pub format: log::Format,
}

/// `[telemetry]`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Telemetry {
    /// How often own figures go to the output; none where they never do.
    pub(crate) emit_interval: Option<Duration>,
}

/// One `[[inputs.pushgateway]]`, key by key.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// `measurements`
    pub measurement_rules: Vec<mapping::MeasurementRule>,
    /// May be empty.
    pub measurement_prefix: String,
}

impl Default for InputConfig {
    fn default() -> InputConfig {
        InputConfig {
            route_prefix: String::new(),
            measurement_name: String::new(),
            job_as_measurement: false,
            keep_exist_metric_name: false,
            timestamps: mapping::Timestamps::Honor,
            names: sample::Names::Legacy,
            filter: mapping::Filter::default(),
            tags: mapping::TagRules::default(),
            measurement_rules: Vec::new(),
            measurement_prefix: String::new(),
        }
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            server: Server {
                gate: gate::Options {
                    listen: vec![gate::Listen::Tcp("127.0.0.1:9091".to_owned())],
                    connections_max: limits::CONNECTIONS_MAX,
                    body_bytes_max: limits::BODY_BYTES_MAX,
                    buffered_bytes_max: limits::BUFFERED_BYTES_MAX,
                    head_timeout: Duration::from_secs(10),
                    body_timeout: Duration::from_secs(30),
                    idle_timeout: Duration::from_secs(60),
                },
                workers: 0,
                decoded_bytes_max: limits::DECODED_BYTES_MAX,
                auth_file: None,
            },
            output: Output {
                target: Target::Stdout,
                queue: queue::QueueOptions {
                    bytes_max: limits::QUEUE_BYTES,
                    acknowledge: Acknowledge::Written,
                    ack_timeout: Duration::from_secs(5),
                },
                drain_timeout: Duration::from_secs(10),
                durability: Durability::Written,
            },
            log: Log::default(),
            telemetry: Telemetry::default(),
            inputs: vec![InputConfig::default()],
        }
    }
}

/// What one source says, and where.
#[derive(Debug)]
struct Setting {
    place: Place,
    /// As the source writes it, for messages.
    name: String,
    key: keys::Key,
    value: raw::Raw,
}

impl Config {
    /// Reads the configuration: defaults, then `file`, then `environment`.
    ///
    /// # Errors
    /// Every mistake in them.
    pub fn load(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Config, Error> {
        let mut config = Config::default();
        let mut mistakes = Vec::new();
        let settings = file.map_or_else(Vec::new, |path| file::read(path, &mut mistakes));
        let from_environment = environment::read(environment, &mut mistakes);
        for setting in settings.into_iter().chain(from_environment) {
            let Setting { place, name, key, value } = setting;
            if let Err(allowed) = keys::set(&mut config, key, &value) {
                let found = value.to_string();
                mistakes.push(Mistake { place, what: What::Value { key: name, found, allowed } });
            }
        }
        config.check(&mut mistakes);
        if mistakes.is_empty() { Ok(config) } else { Err(Error(mistakes)) }
    }

    /// What no key alone can tell.
    fn check(&self, mistakes: &mut Vec<Mistake>) {
        let mut conflict =
            |what| mistakes.push(Mistake { place: Place::Whole, what: What::Conflict(what) });
        for (index, input) in self.inputs.iter().enumerate() {
            let has_same = |other: &&InputConfig| other.route_prefix == input.route_prefix;
            if self.inputs.iter().take(index).any(|other| has_same(&other)) {
                let prefix = &input.route_prefix;
                conflict(format!(
                    "two inputs have the route_prefix \"{prefix}\", each must have one of its own"
                ));
            }
        }
        let gate = &self.server.gate;
        if gate.body_bytes_max > gate.buffered_bytes_max {
            conflict(format!(
                "server.max_body_bytes is \"{}\", must not be above server.max_buffered_bytes (\"{}\")",
                value::size_text(gate.body_bytes_max),
                value::size_text(gate.buffered_bytes_max)
            ));
        }
        if self.output.durability == Durability::Synced
            && !matches!(self.output.target, Target::File(_))
        {
            let target = &self.output.target;
            conflict(format!("output.fsync is true, which only a file can do, not {target}"));
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
            lines_bytes_max: self.output.queue.bytes_max,
        }
    }

    /// The inputs.
    pub fn inputs(&self) -> Vec<Input> {
        self.inputs.iter().map(InputConfig::input).collect()
    }
}

impl InputConfig {
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
            endpoint: crate::push::route::Endpoint {
                prefix: normalise_prefix(&self.route_prefix),
                names: self.names,
            },
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

#[cfg(test)]
mod tests;
