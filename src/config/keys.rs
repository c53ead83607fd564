//! Every key: what it may be, and where its value goes.

use super::raw::Raw;
use super::{Config, InputConfig, rules, value};
use crate::delivery::queue::Acknowledge;
use crate::delivery::sink::{Durability, Target};
use crate::intake::gate::Listen;
use crate::limits::{KIB, MIB};
use crate::observe::log::{Format, Level};
use crate::push::mapping::Timestamps;
use crate::push::route::normalise_prefix;
use crate::push::sample::Names;
use std::path::PathBuf;
use std::time::Duration;

/// A key, and of which input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// `[server]`
    Server(&'static str),
    /// `[output]`
    Output(&'static str),
    /// `[log]`
    Log(&'static str),
    /// `[telemetry]`
    Telemetry(&'static str),
    /// The `[[inputs.pushgateway]]` of that number.
    Input(usize, &'static str),
}

pub(super) const SERVER_KEYS: [&str; 10] = [
    "listen",
    "workers",
    "max_body_bytes",
    "max_decoded_bytes",
    "max_buffered_bytes",
    "max_connections",
    "head_timeout",
    "body_timeout",
    "idle_timeout",
    "auth_file",
];
pub(super) const OUTPUT_KEYS: [&str; 6] =
    ["target", "ack", "ack_timeout", "drain_timeout", "queue_bytes", "fsync"];
pub(super) const LOG_KEYS: [&str; 2] = ["level", "format"];
pub(super) const TELEMETRY_KEYS: [&str; 1] = ["emit_interval"];
pub(super) const INPUT_KEYS: [&str; 13] = [
    "route_prefix",
    "measurement_name",
    "job_as_measurement",
    "keep_exist_metric_name",
    "honor_timestamps",
    "utf8_names",
    "metric_allow",
    "metric_deny",
    "tags_rename",
    "tags_drop",
    "tags_add",
    "measurements",
    "measurement_prefix",
];

/// Sets one key.
///
/// # Errors
/// What is allowed.
pub(super) fn set(config: &mut Config, key: Key, raw: &Raw) -> Result<(), String> {
    match key {
        Key::Server(name) => set_server(config, name, raw),
        Key::Output(name) => set_output(config, name, raw),
        Key::Log(name) => set_log(config, name, raw),
        Key::Telemetry(_) => {
            config.telemetry.emit_interval = interval(raw)?;
            Ok(())
        }
        Key::Input(number, name) => {
            while config.inputs.len() <= number {
                config.inputs.push(InputConfig::default());
            }
            config.inputs.get_mut(number).map_or(Ok(()), |input| set_input(input, name, raw))
        }
    }
}

fn set_server(config: &mut Config, name: &str, raw: &Raw) -> Result<(), String> {
    let server = &mut config.server;
    let gate = &mut server.gate;
    match name {
        "listen" => gate.listen = listen(raw)?,
        "workers" => server.workers = integer(raw, 0, 1024)?,
        "max_body_bytes" => gate.body_bytes_max = size(raw, KIB, 1024 * MIB)?,
        "max_decoded_bytes" => server.decoded_bytes_max = size(raw, KIB, 2047 * MIB)?,
        "max_buffered_bytes" => gate.buffered_bytes_max = size(raw, KIB, 64 * 1024 * MIB)?,
        "max_connections" => gate.connections_max = integer(raw, 1, 100_000)?,
        "head_timeout" => gate.head_timeout = duration(raw)?,
        "body_timeout" => gate.body_timeout = duration(raw)?,
        "idle_timeout" => gate.idle_timeout = duration(raw)?,
        _ => server.auth_file = Some(text(raw)?).filter(|path| !path.is_empty()).map(PathBuf::from),
    }
    Ok(())
}

fn set_output(config: &mut Config, name: &str, raw: &Raw) -> Result<(), String> {
    let output = &mut config.output;
    match name {
        "target" => output.target = target(raw)?,
        "ack" => {
            let choices = [("written", Acknowledge::Written), ("queued", Acknowledge::Queued)];
            output.queue.acknowledge = choice(raw, &choices)?;
        }
        "ack_timeout" => output.queue.ack_timeout = duration(raw)?,
        "drain_timeout" => output.drain_timeout = duration(raw)?,
        "queue_bytes" => output.queue.bytes_max = size(raw, 64 * KIB, 4096 * MIB)?,
        _ => {
            output.durability = if flag(raw)? { Durability::Synced } else { Durability::Written };
        }
    }
    Ok(())
}

fn set_log(config: &mut Config, name: &str, raw: &Raw) -> Result<(), String> {
    match name {
        "level" => {
            let choices = [
                ("error", Level::Error),
                ("warn", Level::Warn),
                ("info", Level::Info),
                ("debug", Level::Debug),
            ];
            config.log.level = choice(raw, &choices)?;
        }
        _ => {
            config.log.format = choice(raw, &[("logfmt", Format::Logfmt), ("json", Format::Json)])?;
        }
    }
    Ok(())
}

fn set_input(input: &mut InputConfig, name: &str, raw: &Raw) -> Result<(), String> {
    match name {
        "route_prefix" => input.route_prefix = route_prefix(raw)?,
        "measurement_name" => input.measurement_name = text(raw)?,
        "job_as_measurement" => input.job_as_measurement = flag(raw)?,
        "keep_exist_metric_name" => input.keep_exist_metric_name = flag(raw)?,
        "honor_timestamps" => {
            input.timestamps = if flag(raw)? { Timestamps::Honor } else { Timestamps::Ignore };
        }
        "metric_allow" => input.filter.allow = rules::patterns(raw)?,
        "metric_deny" => input.filter.deny = rules::patterns(raw)?,
        "tags_rename" => input.tags.rename = rules::table(raw)?,
        "tags_drop" => input.tags.drop = rules::patterns(raw)?,
        "tags_add" => input.tags.add = rules::labels(raw)?,
        "measurements" => input.measurement_rules = rules::measurements(raw)?,
        "measurement_prefix" => input.measurement_prefix = text(raw)?,
        _ => input.names = if flag(raw)? { Names::Utf8 } else { Names::Legacy },
    }
    Ok(())
}

fn text(raw: &Raw) -> Result<String, String> {
    match raw {
        Raw::Text(text) | Raw::Variable(text) => Ok(text.clone()),
        _ => Err("a string".to_owned()),
    }
}

fn flag(raw: &Raw) -> Result<bool, String> {
    match raw {
        Raw::Flag(flag) => Ok(*flag),
        Raw::Variable(text) => value::flag(text)
            .ok_or_else(|| "1 t T TRUE true True 0 f F FALSE false or False".into()),
        _ => Err("true or false".to_owned()),
    }
}

fn integer(raw: &Raw, min: usize, max: usize) -> Result<usize, String> {
    let integer = match raw {
        Raw::Integer(integer) => usize::try_from(*integer).ok(),
        Raw::Variable(text) => text.parse().ok(),
        _ => None,
    };
    integer
        .filter(|integer| (min..=max).contains(integer))
        .ok_or_else(|| format!("an integer between {min} and {max}"))
}

fn size(raw: &Raw, min: usize, max: usize) -> Result<usize, String> {
    let bytes = match raw {
        Raw::Text(text) | Raw::Variable(text) => value::size(text),
        Raw::Integer(integer) => usize::try_from(*integer).ok(),
        _ => None,
    };
    bytes.filter(|bytes| (min..=max).contains(bytes)).ok_or_else(|| {
        let (min, max) = (value::size_text(min), value::size_text(max));
        format!("between {min} and {max}, as \"16MiB\" or bytes")
    })
}

fn duration(raw: &Raw) -> Result<Duration, String> {
    const MIN: Duration = Duration::from_millis(1);
    const MAX: Duration = Duration::from_secs(24 * 3600);
    let duration = match raw {
        Raw::Text(text) | Raw::Variable(text) => value::duration(text),
        _ => None,
    };
    duration
        .filter(|duration| (MIN..=MAX).contains(duration))
        .ok_or_else(|| "between 1ms and 24h, as \"10s\" or \"500ms\"".to_owned())
}

/// How often something is done; `"0s"` is never.
fn interval(raw: &Raw) -> Result<Option<Duration>, String> {
    const MIN: Duration = Duration::from_secs(1);
    if let Raw::Text(text) | Raw::Variable(text) = raw
        && value::duration(text) == Some(Duration::ZERO)
    {
        return Ok(None);
    }
    let found = duration(raw).ok().filter(|found| *found >= MIN);
    let allowed = || "\"0s\" (off) or between 1s and 24h, as \"10s\" or \"1m\"".to_owned();
    found.map(Some).ok_or_else(allowed)
}

fn choice<T: Copy>(raw: &Raw, choices: &[(&str, T)]) -> Result<T, String> {
    let found = match raw {
        Raw::Text(text) | Raw::Variable(text) => {
            choices.iter().find(|(name, _)| name == text).map(|(_, value)| *value)
        }
        _ => None,
    };
    found.ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        names.join(" or ")
    })
}

fn route_prefix(raw: &Raw) -> Result<String, String> {
    let prefix = normalise_prefix(&text(raw)?);
    let is_fit = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'%');
    if prefix.bytes().all(is_fit) && !prefix.contains("//") {
        Ok(prefix)
    } else {
        Err("a path of printable ASCII without ? # % and //".to_owned())
    }
}

fn listen(raw: &Raw) -> Result<Vec<Listen>, String> {
    let items = match raw {
        Raw::List(items) => items.clone(),
        Raw::Text(text) => vec![text.clone()],
        Raw::Variable(text) => text.split(',').map(|item| item.trim().to_owned()).collect(),
        _ => Vec::new(),
    };
    let places: Option<Vec<_>> = items.iter().map(|item| place(item)).collect();
    places.filter(|places| !places.is_empty()).ok_or_else(|| {
        "a list of \"host:port\" and \"unix:/path\" (at most 107 bytes), at least one".to_owned()
    })
}

fn place(text: &str) -> Option<Listen> {
    match text.strip_prefix("unix:") {
        Some(path) => socket_path(path).map(Listen::Unix),
        None => is_host_and_port(text).then(|| Listen::Tcp(text.to_owned())),
    }
}

/// A path that fits the address of a Unix socket (unix(7): 108 bytes with the closing zero).
fn socket_path(path: &str) -> Option<PathBuf> {
    const LEN_MAX: usize = 107;
    (path.starts_with('/') && path.len() <= LEN_MAX).then(|| PathBuf::from(path))
}

fn is_host_and_port(text: &str) -> bool {
    text.rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

fn target(raw: &Raw) -> Result<Target, String> {
    let text = text(raw)?;
    let target = if text == "stdout" {
        Some(Target::Stdout)
    } else if let Some(path) = text.strip_prefix("file:") {
        path.starts_with('/').then(|| Target::File(PathBuf::from(path)))
    } else if let Some(address) = text.strip_prefix("tcp://") {
        is_host_and_port(address).then(|| Target::Tcp(address.to_owned()))
    } else if let Some(path) = text.strip_prefix("unix:") {
        socket_path(path).map(Target::Unix)
    } else {
        None
    };
    target.ok_or_else(|| "stdout, file:/path, tcp://host:port or unix:/path".to_owned())
}
