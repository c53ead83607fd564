//! One body from a file or standard input → its lines, without a server (`pushline convert`).
//!
//! The way of a push itself, so that what it shows is what a push becomes: the same input, limits
//! and stages, the labels by the rules of the URL, and a refusal in the words that a pusher would
//! get. All or nothing, as a push is: the lines of a refused body never reach the output.

use crate::push::body::Coding;
use crate::push::route;
use crate::push::sample::Format;
use crate::push::{self, Input, PushHeaders, Pusher};
use crate::system;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Where the body comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BodySource {
    /// Standard input.
    #[default]
    Stdin,
    /// A file.
    File(PathBuf),
}

impl fmt::Display for BodySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BodySource::Stdin => f.write_str("<stdin>"),
            BodySource::File(path) => path.display().fmt(f),
        }
    }
}

/// What the operator asks to be converted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// The body.
    pub(crate) source: BodySource,
    /// Which input; `None` if there is only one.
    pub route_prefix: Option<OsString>,
    /// The job that its URL would have, decoded.
    pub job: Vec<u8>,
    /// The labels that its URL would have, decoded; a name may end in `@base64`.
    pub labels: Vec<(Vec<u8>, Vec<u8>)>,
    /// What `Content-Type` would say.
    pub format: Format,
    /// What `Content-Encoding` would say.
    pub coding: Coding,
    /// The time of the push, in nanoseconds since the Unix epoch; `None` is now.
    pub time_ns: Option<i64>,
}

impl Default for Conversion {
    fn default() -> Conversion {
        Conversion {
            source: BodySource::Stdin,
            route_prefix: None,
            job: b"convert".to_vec(),
            labels: Vec::new(),
            format: Format::Text,
            coding: Coding::Identity,
            time_ns: None,
        }
    }
}

/// What the configuration says.
#[derive(Debug)]
pub struct ConvertSettings {
    /// All inputs.
    pub inputs: Vec<Input>,
    /// The bounds of a push.
    pub push: push::PushLimits,
    /// The body as sent, in bytes (`server.max_body_bytes`).
    pub body_bytes_max: usize,
}

/// Why there are no lines.
#[derive(Debug)]
pub enum Error {
    /// There are several inputs and none was chosen, or the chosen one does not exist.
    Input {
        /// The prefixes of those that are there.
        prefixes: Vec<String>,
    },
    /// A URL may not have this job or label.
    Group(route::Error),
    /// The body cannot be read.
    Read(BodySource, io::Error),
    /// The body as sent is over its limit.
    TooLarge {
        /// Whose.
        source: BodySource,
        /// The limit, in bytes.
        bytes_max: usize,
    },
    /// The push is refused.
    Refused(BodySource, push::Error),
    /// The output does not take the lines.
    Write(io::Error),
}

impl Error {
    /// The exit status of the process: 1 where it is the push that fails, 2 where it was asked
    /// wrongly.
    pub fn exit_status(&self) -> u8 {
        match self {
            Error::TooLarge { .. } | Error::Refused(..) | Error::Write(_) => 1,
            Error::Input { .. } | Error::Group(_) | Error::Read(..) => 2,
        }
    }

    /// Whether it goes without saying: the reader of the output has seen enough.
    pub fn is_silent(&self) -> bool {
        matches!(self, Error::Write(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Input { prefixes } => {
                let prefixes = prefixes.join("\", \"");
                write!(f, "pushline: --route-prefix must name one of the inputs: \"{prefixes}\"")
            }
            Error::Group(error) => write!(f, "pushline: --job, --label: {error}"),
            Error::Read(source, error) => write!(f, "pushline: cannot read {source}: {error}"),
            // As the gate says it.
            Error::TooLarge { source, bytes_max } => write!(
                f,
                "{source}: the body is larger than {bytes_max} bytes (server.max_body_bytes)"
            ),
            Error::Refused(source, error) => write!(f, "{source}: {error}"),
            Error::Write(error) => write!(f, "pushline: cannot write the lines: {error}"),
        }
    }
}

impl std::error::Error for Error {}

/// Converts one body and writes its lines: what its author should know of them, one line each.
///
/// # Errors
/// [`Error`]; nothing is written unless it is [`Error::Write`].
pub fn run(
    conversion: &Conversion,
    settings: &ConvertSettings,
    output: &mut impl Write,
) -> Result<Vec<String>, Error> {
    let input = choose(conversion, &settings.inputs)?;
    let group = route::group(&conversion.job, &conversion.labels, input.endpoint.names);
    let group = group.map_err(Error::Group)?;
    let head = PushHeaders {
        group: &group,
        content_type: Some(media_type(conversion.format)),
        content_encoding: Some(conversion.coding.name()),
        received_ns: conversion.time_ns.unwrap_or_else(system::now_ns),
    };
    let sent = read(&conversion.source, settings.body_bytes_max)?;
    let source = || conversion.source.clone();
    let mut pusher = Pusher::new(settings.push);
    let converted = pusher.convert(input, head, &sent, Vec::new());
    let converted = converted.map_err(|error| Error::Refused(source(), error))?;
    output.write_all(&converted.lines).and_then(|()| output.flush()).map_err(Error::Write)?;
    let remarks = pusher.remarks(input, head, &sent, &converted);
    Ok(remarks.iter().map(|remark| format!("{}: {remark}", source())).collect())
}

/// The input that is meant: the only one, or that of the prefix. To take the first of several would
/// show what another one does.
fn choose<'s>(conversion: &Conversion, inputs: &'s [Input]) -> Result<&'s Input, Error> {
    let chosen = match (&conversion.route_prefix, inputs) {
        (None, [only]) => Some(only),
        (None, _) => None,
        (Some(prefix), _) => {
            let prefix = route::normalise_prefix(&String::from_utf8_lossy(prefix.as_bytes()));
            inputs.iter().find(|input| input.endpoint.prefix == prefix)
        }
    };
    chosen.ok_or_else(|| {
        // As an argument that is not empty says the empty one.
        let name =
            |prefix: &str| if prefix.is_empty() { "/".to_owned() } else { prefix.to_owned() };
        Error::Input { prefixes: inputs.iter().map(|input| name(&input.endpoint.prefix)).collect() }
    })
}

fn media_type(format: Format) -> &'static str {
    match format {
        Format::Text => "text/plain",
        Format::OpenMetrics => "application/openmetrics-text",
        Format::Protobuf => "application/vnd.google.protobuf",
    }
}

/// Reads the whole body, but not beyond its limit.
fn read(source: &BodySource, bytes_max: usize) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    let bound = bytes_max.saturating_add(1) as u64;
    let count = match source {
        BodySource::Stdin => io::stdin().lock().take(bound).read_to_end(&mut body),
        BodySource::File(path) => {
            File::open(path).and_then(|file| file.take(bound).read_to_end(&mut body))
        }
    };
    match count {
        Err(error) => Err(Error::Read(source.clone(), error)),
        Ok(count) if count > bytes_max => {
            Err(Error::TooLarge { source: source.clone(), bytes_max })
        }
        Ok(_) => Ok(body),
    }
}
