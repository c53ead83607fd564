//! Raw arguments → what the operator asks for.

use std::ffi::OsString;
use std::fmt;
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
    /// Print the version.
    Version,
    /// Print the help.
    Help,
}

/// What is wrong with the arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// No such flag, or an argument that is none.
    Unknown(String),
    /// A flag without its value.
    NoValue(&'static str),
    /// A flag with a value that it does not take.
    ExtraValue(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Unknown(argument) => write!(f, "{argument:?} is not an argument of pushline")?,
            Error::NoValue(flag) => write!(f, "{flag} needs a value: {flag} FILE")?,
            Error::ExtraValue(flag) => write!(f, "{flag} takes no value")?,
        }
        f.write_str("; see pushline --help")
    }
}

impl std::error::Error for Error {}

/// What `--help` prints.
pub const HELP: &str = "\
pushline: Prometheus Pushgateway protocol in, InfluxDB line protocol out

Usage: pushline [--config FILE] [--check | --print-config]

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

/// Reads the arguments, without the program's name.
///
/// # Errors
/// The first argument that is wrong.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Command, Error> {
    let mut arguments = arguments;
    let mut config = None;
    let mut chosen: Option<fn(Option<PathBuf>) -> Command> = None;
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy();
        let (flag, value) = match text.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag, Some(OsString::from(value))),
            _ => (&*text, None),
        };
        let command: fn(Option<PathBuf>) -> Command = match flag {
            "--config" => {
                let value = value.or_else(|| arguments.next()).filter(|value| !value.is_empty());
                config = Some(PathBuf::from(value.ok_or(Error::NoValue("--config"))?));
                continue;
            }
            "--check" => |config| Command::Check { config },
            "--print-config" => |config| Command::PrintConfig { config },
            "--version" | "-V" => |_| Command::Version,
            "--help" | "-h" => |_| Command::Help,
            _ => return Err(Error::Unknown(text.into_owned())),
        };
        if value.is_some() {
            return Err(Error::ExtraValue(flag.to_owned()));
        }
        chosen = chosen.or(Some(command));
    }
    Ok(chosen.unwrap_or(|config| Command::Run { config })(config))
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
        ] {
            assert_eq!(parse_all(arguments).unwrap_err().to_string(), want);
        }
    }
}
