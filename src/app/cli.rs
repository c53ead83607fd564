//! Raw arguments → what the operator asks for.
//!
//! `convert` is the one word that is a command; everything else are flags. A flag's value follows
//! it or stands behind its `=`. What a value means is checked here where an argument can be wrong,
//! and is the room's own where the configuration has a say in it.

use crate::app::convert::{BodySource, Conversion};
use crate::push::body::Coding;
use crate::push::sample::{Format, Quoted};
use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// What the operator asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Serve.
    Run {
        /// `--config`
        config: Option<PathBuf>,
    },
    /// Only check the configuration.
    Check {
        /// `--config`
        config: Option<PathBuf>,
    },
    /// Print the effective configuration.
    PrintConfig {
        /// `--config`
        config: Option<PathBuf>,
    },
    /// Convert one body to lines, without a server.
    Convert {
        /// `--config`
        config: Option<PathBuf>,
        /// What to convert, and as what.
        conversion: Conversion,
    },
    /// Print the help of `convert`.
    ConvertHelp,
    /// Print the version.
    Version,
    /// Print the help.
    Help,
}

/// What is wrong with the arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// `pushline`, or `pushline convert`.
    command: &'static str,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    /// No such flag, or an argument that is none.
    Unknown(String),
    /// A flag without its value.
    NoValue { flag: &'static str, value: &'static str },
    /// A flag with a value, which takes none.
    ExtraValue(String),
    /// A flag with a value that it does not take.
    Value { flag: &'static str, found: Vec<u8>, allowed: &'static str },
    /// A file behind the first one.
    SecondFile(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command = self.command;
        match &self.what {
            What::Unknown(argument) => write!(f, "{argument:?} is not an argument of {command}")?,
            What::NoValue { flag, value } => write!(f, "{flag} needs a value: {flag} {value}")?,
            What::ExtraValue(flag) => write!(f, "{flag} takes no value")?,
            What::Value { flag, found, allowed } => {
                write!(f, "{flag} is {}, must be {allowed}", Quoted(found))?;
            }
            What::SecondFile(file) => write!(f, "{file:?} is a second FILE, only one is read")?,
        }
        write!(f, "; see {command} --help")
    }
}

impl std::error::Error for Error {}

/// What `--help` prints.
pub const HELP: &str = "\
pushline: Prometheus Pushgateway protocol in, InfluxDB line protocol out

Usage: pushline [--config FILE] [--check | --print-config]
       pushline convert [OPTIONS] [FILE]    (see pushline convert --help)

  --config FILE    read this TOML file; see conf.sample for every key
  --check          only check the configuration
  --print-config   print the effective configuration as TOML
  --version        print the version
  --help           print this

Without a file it listens on 127.0.0.1:9091 and writes to standard output.
Push with:  echo 'room_temp 21.5' | curl --data-binary @- http://127.0.0.1:9091/metrics/job/demo

Environment (wins over the file):
  PUSHLINE_<TABLE>_<KEY>              such as PUSHLINE_SERVER_LISTEN, PUSHLINE_OUTPUT_TARGET
  ENV_INPUT_PUSHGATEWAY_<KEY>         for the first input, as DataKit names them; lists are a,b
                                      and tables a=b,c=d
  NOTIFY_SOCKET WATCHDOG_USEC         what a supervisor such as systemd sets: it is told of
  LISTEN_FDS                          each step, and its sockets take the place of server.listen

Signals: SIGTERM and SIGINT drain and end. SIGHUP reopens a file output and rereads the file and
the credentials: what can change at run time changes, what needs a restart is named in the log,
and with a mistake in them nothing changes.
Exit status: 0 fine, 1 a failure while running, 2 a wrong argument or configuration.
";

/// What `convert --help` prints.
pub const CONVERT_HELP: &str = "\
pushline convert: what a push would become, without a server

Usage: pushline convert [OPTIONS] [FILE]

Reads one body from FILE, or from standard input without one or with -, and writes its lines to
standard output. The inputs and limits of the configuration, and the environment, hold as they do
for the server.

  --config FILE          the configuration, as for the server
  --route-prefix PREFIX  the input of that route_prefix; needed where there are several
  --job JOB              the job of the URL (convert)
  --label NAME=VALUE     a label of the URL; may be repeated. NAME@base64=VALUE as in the URL
  --format FORMAT        text (default), openmetrics or protobuf
  --coding CODING        how it is compressed: identity (default), gzip, deflate or snappy
  --time NANOSECONDS     the time of the push, since 1970; without it, now
  --help                 print this

Samples that line protocol cannot say are skipped and counted on standard error.
Exit status: 0 fine, 1 the push is refused, or standard output does not take its lines, 2 a wrong
argument or configuration, or a file that cannot be read.
";

/// Reads the arguments, without the program's name.
///
/// # Errors
/// The first argument that is wrong.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Command, Error> {
    let error = |what| Error { command: "pushline", what };
    let mut arguments = arguments;
    let mut config = None;
    let mut chosen: Option<fn(Option<PathBuf>) -> Command> = None;
    while let Some(argument) = arguments.next() {
        let (flag, value) = split(&argument);
        let command: fn(Option<PathBuf>) -> Command = match &*flag {
            "--config" => {
                let path = value_of(("--config", "FILE"), value, &mut arguments).map_err(error)?;
                config = Some(PathBuf::from(path));
                continue;
            }
            "convert" if chosen.is_none() => {
                let error = |what| Error { command: "pushline convert", what };
                return parse_convert(arguments, config).map_err(error);
            }
            "--check" => |config| Command::Check { config },
            "--print-config" => |config| Command::PrintConfig { config },
            "--version" | "-V" => |_| Command::Version,
            "--help" | "-h" => |_| Command::Help,
            _ => return Err(error(What::Unknown(argument.to_string_lossy().into_owned()))),
        };
        if value.is_some() {
            return Err(error(What::ExtraValue(flag.into_owned())));
        }
        chosen = chosen.or(Some(command));
    }
    Ok(chosen.unwrap_or(|config| Command::Run { config })(config))
}

/// Reads what stands behind `convert`.
fn parse_convert(
    mut arguments: impl Iterator<Item = OsString>,
    mut config: Option<PathBuf>,
) -> Result<Command, What> {
    let mut conversion = Conversion::default();
    let mut file = None;
    while let Some(argument) = arguments.next() {
        let (flag, value) = split(&argument);
        let mut take = |name, what| value_of((name, what), value.clone(), &mut arguments);
        match &*flag {
            "--config" => config = Some(PathBuf::from(take("--config", "FILE")?)),
            "--route-prefix" => conversion.route_prefix = Some(take("--route-prefix", "PREFIX")?),
            "--job" => conversion.job = take("--job", "JOB")?.into_vec(),
            "--label" => conversion.labels.push(label(take("--label", "NAME=VALUE")?)?),
            "--format" => conversion.format = format(take("--format", "FORMAT")?)?,
            "--coding" => conversion.coding = coding(take("--coding", "CODING")?)?,
            "--time" => conversion.time_ns = Some(time_ns(take("--time", "NANOSECONDS")?)?),
            "--help" | "-h" if value.is_none() => return Ok(Command::ConvertHelp),
            "--help" => return Err(What::ExtraValue(flag.into_owned())),
            text if text.starts_with('-') && text != "-" => {
                return Err(What::Unknown(argument.to_string_lossy().into_owned()));
            }
            _ if file.is_some() => return Err(What::SecondFile(flag.into_owned())),
            _ => file = Some(argument),
        }
    }
    if let Some(path) = file.filter(|path| path != "-") {
        conversion.source = BodySource::File(PathBuf::from(path));
    }
    Ok(Command::Convert { config, conversion })
}

/// A flag and the value behind its `=`, where it has one.
fn split(argument: &OsStr) -> (Cow<'_, str>, Option<OsString>) {
    match split_at_equals(argument.as_bytes()) {
        Some((flag, value)) if flag.starts_with(b"--") => {
            (String::from_utf8_lossy(flag), Some(OsStr::from_bytes(value).to_owned()))
        }
        _ => (argument.to_string_lossy(), None),
    }
}

fn split_at_equals(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|byte| *byte == b'=')?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// The value of a flag: what stands behind its `=`, or else the next argument; not empty.
fn value_of(
    (flag, what): (&'static str, &'static str),
    value: Option<OsString>,
    arguments: &mut impl Iterator<Item = OsString>,
) -> Result<OsString, What> {
    let value = value.or_else(|| arguments.next()).filter(|value| !value.is_empty());
    value.ok_or(What::NoValue { flag, value: what })
}

fn label(value: OsString) -> Result<(Vec<u8>, Vec<u8>), What> {
    let pair = split_at_equals(value.as_bytes()).map(|(name, value)| (name.into(), value.into()));
    let allowed = "NAME=VALUE";
    pair.ok_or_else(|| What::Value { flag: "--label", found: value.into_vec(), allowed })
}

fn format(value: OsString) -> Result<Format, What> {
    let allowed = "text, openmetrics or protobuf";
    match value.as_bytes() {
        b"text" => Ok(Format::Text),
        b"openmetrics" => Ok(Format::OpenMetrics),
        b"protobuf" => Ok(Format::Protobuf),
        _ => Err(What::Value { flag: "--format", found: value.into_vec(), allowed }),
    }
}

fn coding(value: OsString) -> Result<Coding, What> {
    let allowed = "identity, gzip, deflate or snappy";
    Coding::from_header(Some(&value.to_string_lossy())).map_err(|_| What::Value {
        flag: "--coding",
        found: value.into_vec(),
        allowed,
    })
}

fn time_ns(value: OsString) -> Result<i64, What> {
    let allowed = "nanoseconds since 1970, above 0";
    let time_ns = value.to_str().and_then(|text| text.parse().ok()).filter(|time| *time > 0);
    time_ns.ok_or_else(|| What::Value { flag: "--time", found: value.into_vec(), allowed })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_all(arguments: &[&str]) -> Result<Command, Error> {
        parse(arguments.iter().map(OsString::from))
    }

    #[test]
    fn arguments_say_what_to_do() {
        let file = || Some(PathBuf::from("a.toml"));
        for (arguments, want) in [
            (&[][..], Command::Run { config: None }),
            (&["--config", "a.toml"], Command::Run { config: file() }),
            (&["--config=a.toml"], Command::Run { config: file() }),
            (&["--check", "--config", "a.toml"], Command::Check { config: file() }),
            (&["--config", "a.toml", "--print-config"], Command::PrintConfig { config: file() }),
            (&["--version"], Command::Version),
            (&["-h"], Command::Help),
            (&["convert", "--help"], Command::ConvertHelp),
        ] {
            assert_eq!(parse_all(arguments), Ok(want), "{arguments:?}");
        }
    }

    #[test]
    fn a_wrong_argument_names_itself_and_the_remedy() {
        for (arguments, want) in [
            (&["--confg"][..], "\"--confg\" is not an argument of pushline; see pushline --help"),
            (&["a.toml"], "\"a.toml\" is not an argument of pushline; see pushline --help"),
            (&["--config"], "--config needs a value: --config FILE; see pushline --help"),
            (&["--config="], "--config needs a value: --config FILE; see pushline --help"),
            (&["--check=yes"], "--check takes no value; see pushline --help"),
            (
                &["--check", "convert"],
                "\"convert\" is not an argument of pushline; see pushline --help",
            ),
        ] {
            assert_eq!(parse_all(arguments).unwrap_err().to_string(), want);
        }
    }

    #[test]
    fn a_conversion_is_described_by_its_arguments() {
        let convert = |arguments: &[&str]| match parse_all(arguments) {
            Ok(Command::Convert { config, conversion }) => (config, conversion),
            other => panic!("{arguments:?}: {other:?}"),
        };
        let pair = |name: &str, value: &str| (name.into(), value.into());
        assert_eq!(convert(&["convert"]), (None, Conversion::default()));
        assert_eq!(convert(&["convert", "-"]), (None, Conversion::default()));
        let config = Some(PathBuf::from("a.toml"));
        for arguments in [["--config=a.toml", "convert"], ["convert", "--config=a.toml"]] {
            assert_eq!(convert(&arguments), (config.clone(), Conversion::default()));
        }
        let all = "convert --job j --label a=b=c --label=d= --label x@base64=YQ== --route-prefix /v1 \
                   --format openmetrics --coding=GZIP --time 17 metrics=1.txt";
        let want = Conversion {
            source: BodySource::File(PathBuf::from("metrics=1.txt")),
            route_prefix: Some(OsString::from("/v1")),
            job: b"j".to_vec(),
            labels: vec![pair("a", "b=c"), pair("d", ""), pair("x@base64", "YQ==")],
            format: Format::OpenMetrics,
            coding: Coding::Gzip,
            time_ns: Some(17),
        };
        assert_eq!(convert(&all.split_whitespace().collect::<Vec<_>>()), (None, want));
    }

    #[test]
    fn a_wrong_argument_of_convert_names_itself_and_the_remedy() {
        for (arguments, want) in [
            ("--jbo x", "\"--jbo\" is not an argument of pushline convert"),
            ("--check", "\"--check\" is not an argument of pushline convert"),
            ("a b", "\"b\" is a second FILE, only one is read"),
            ("- b", "\"b\" is a second FILE, only one is read"),
            ("--job", "--job needs a value: --job JOB"),
            ("--job=", "--job needs a value: --job JOB"),
            ("--label zone", "--label is \"zone\", must be NAME=VALUE"),
            ("--format json", "--format is \"json\", must be text, openmetrics or protobuf"),
            ("--coding br", "--coding is \"br\", must be identity, gzip, deflate or snappy"),
            ("--time 0", "--time is \"0\", must be nanoseconds since 1970, above 0"),
            ("--time 1.5", "--time is \"1.5\", must be nanoseconds since 1970, above 0"),
            ("--help=yes", "--help takes no value"),
        ] {
            let arguments: Vec<_> = ["convert"].into_iter().chain(arguments.split(' ')).collect();
            let want = format!("{want}; see pushline convert --help");
            assert_eq!(parse_all(&arguments).unwrap_err().to_string(), want);
        }
    }
}
