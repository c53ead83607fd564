//! Raw arguments → what the operator asks for.
//!
//! `spec` has a table for each command: `convert` and `spool` are the words that are commands, all
//! else are flags. A flag's value follows it, or its `=`. What a value means is checked here where
//! an argument can be wrong, and is the room's own where the configuration has a say in it.

mod error;
mod help;
mod hint;
pub(crate) mod spec;
mod words;

use crate::app::convert::{BodySource, Conversion};
use crate::app::spool::{SpoolPlace, SpoolView};
use crate::config::{Shortcut, Sources};
use crate::push::body::Coding;
use crate::push::sample::Format;
use error::ArgumentMistake;
use spec::{CONVERT, ConvertFlag, SERVE, SPOOL, ServeFlag, SpoolFlag};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use words::{Word, split_at_equals};

pub use error::Error;

/// What the operator asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Serve.
    Run(Sources),
    /// Only check the configuration.
    Check(Sources),
    /// Print the effective configuration.
    PrintConfig(Sources),
    /// Convert one body to lines, without a server.
    Convert {
        /// Where the configuration is.
        sources: Sources,
        /// What to convert, and as what.
        conversion: Conversion,
    },
    /// Print the help of `convert`.
    ConvertHelp,
    /// Show what waits in a spool.
    Spool {
        /// Which one.
        place: SpoolPlace,
        /// What of it.
        view: SpoolView,
    },
    /// Print the help of `spool`.
    SpoolHelp,
    /// Print the version.
    Version,
    /// Print the help.
    Help,
}

/// What `--help` prints.
pub fn help() -> String {
    help::text(&SERVE)
}

/// What `convert --help` prints.
pub fn convert_help() -> String {
    help::text(&CONVERT)
}

/// What `spool --help` prints.
pub fn spool_help() -> String {
    help::text(&SPOOL)
}

/// Reads the arguments, without the program's name.
///
/// # Errors
/// The first argument that is wrong.
pub fn parse(mut arguments: impl Iterator<Item = OsString>) -> Result<Command, Error> {
    let error = |mistake| Error { command: SERVE.name, mistake };
    let mut sources = Sources::default();
    let mut chosen: Option<fn(Sources) -> Command> = None;
    while let Some(word) = words::next(&SERVE, &mut arguments).map_err(error)? {
        let command: fn(Sources) -> Command = match word {
            Word::Valued(flag, value) => {
                take(&mut sources, flag, value).map_err(error)?;
                continue;
            }
            Word::Other(word) if word == "convert" && chosen.is_none() => {
                let error = |mistake| Error { command: CONVERT.name, mistake };
                return parse_convert(arguments, sources).map_err(error);
            }
            Word::Other(word) if word == "spool" && chosen.is_none() => {
                let error = |mistake| Error { command: SPOOL.name, mistake };
                return parse_spool(arguments, sources).map_err(error);
            }
            Word::Other(word) => {
                let hint = hint::of_file(&word.to_string_lossy());
                return Err(error(ArgumentMistake::unknown(&word, hint)));
            }
            Word::Flag(ServeFlag::Check) => Command::Check,
            Word::Flag(ServeFlag::PrintConfig) => Command::PrintConfig,
            Word::Flag(ServeFlag::Version) => |_| Command::Version,
            Word::Flag(ServeFlag::Help) => |_| Command::Help,
            // OK because these come with their values.
            Word::Flag(ServeFlag::Config | ServeFlag::Listen | ServeFlag::Output) => continue,
        };
        chosen = chosen.or(Some(command));
    }
    Ok(chosen.unwrap_or(Command::Run)(sources))
}

/// Takes a flag that says what is to be configured.
fn take(sources: &mut Sources, flag: ServeFlag, value: OsString) -> Result<(), ArgumentMistake> {
    let shortcut = match flag {
        ServeFlag::Config => {
            sources.file = Some(PathBuf::from(value));
            return Ok(());
        }
        ServeFlag::Listen => Shortcut::Listen,
        ServeFlag::Output => Shortcut::Output,
        // OK because these have no value.
        ServeFlag::Check | ServeFlag::PrintConfig | ServeFlag::Version | ServeFlag::Help => {
            return Ok(());
        }
    };
    let text = value.into_string().map_err(|value| ArgumentMistake::Value {
        flag: shortcut.flag(),
        found: value.into_vec(),
        allowed: "UTF-8",
    })?;
    sources.shortcuts.push((shortcut, text));
    Ok(())
}

/// Reads what follows `convert`.
fn parse_convert(
    mut arguments: impl Iterator<Item = OsString>,
    mut sources: Sources,
) -> Result<Command, ArgumentMistake> {
    let mut conversion = Conversion::default();
    let mut file = None;
    while let Some(word) = words::next(&CONVERT, &mut arguments)? {
        match word {
            Word::Valued(ConvertFlag::Config, value) => sources.file = Some(PathBuf::from(value)),
            Word::Valued(flag, value) => describe(&mut conversion, flag, value)?,
            // OK because no other flag is without a value.
            Word::Flag(_) => return Ok(Command::ConvertHelp),
            Word::Other(path) if file.is_some() => {
                return Err(ArgumentMistake::SecondFile(path.to_string_lossy().into_owned()));
            }
            Word::Other(path) => file = Some(path),
        }
    }
    if let Some(path) = file.filter(|path| path != "-") {
        conversion.source = BodySource::File(PathBuf::from(path));
    }
    Ok(Command::Convert { sources, conversion })
}

/// Reads what follows `spool`.
fn parse_spool(
    mut arguments: impl Iterator<Item = OsString>,
    mut sources: Sources,
) -> Result<Command, ArgumentMistake> {
    let (mut view, mut dir) = (None, None);
    while let Some(word) = words::next(&SPOOL, &mut arguments)? {
        match word {
            Word::Valued(SpoolFlag::Dir, value) => dir = Some(PathBuf::from(value)),
            Word::Valued(_, value) => sources.file = Some(PathBuf::from(value)),
            // OK because no other flag is without a value.
            Word::Flag(_) => return Ok(Command::SpoolHelp),
            Word::Other(word) if word == "list" && view.is_none() => view = Some(SpoolView::List),
            Word::Other(word) if word == "print" && view.is_none() => view = Some(SpoolView::Print),
            Word::Other(word) => return Err(ArgumentMistake::unknown(&word, None)),
        }
    }
    let place = dir.map_or(SpoolPlace::Configured(sources), SpoolPlace::Dir);
    view.map(|view| Command::Spool { place, view }).ok_or(ArgumentMistake::NoView)
}

/// Takes a flag that says what is to be converted.
fn describe(
    conversion: &mut Conversion,
    flag: ConvertFlag,
    value: OsString,
) -> Result<(), ArgumentMistake> {
    match flag {
        ConvertFlag::RoutePrefix => conversion.route_prefix = Some(value),
        ConvertFlag::Job => conversion.job = value.into_vec(),
        ConvertFlag::Label => conversion.labels.push(label(value)?),
        ConvertFlag::Format => conversion.format = format(value)?,
        ConvertFlag::Coding => conversion.coding = coding(value)?,
        ConvertFlag::Time => conversion.time_ns = Some(time_ns(value)?),
        // OK because the first is taken before, and the second has no value.
        ConvertFlag::Config | ConvertFlag::Help => {}
    }
    Ok(())
}

fn label(value: OsString) -> Result<(Vec<u8>, Vec<u8>), ArgumentMistake> {
    let pair = split_at_equals(value.as_bytes()).map(|(name, value)| (name.into(), value.into()));
    let allowed = "NAME=VALUE";
    pair.ok_or_else(|| ArgumentMistake::Value { flag: "--label", found: value.into_vec(), allowed })
}

fn format(value: OsString) -> Result<Format, ArgumentMistake> {
    let allowed = "text, openmetrics or protobuf";
    match value.as_bytes() {
        b"text" => Ok(Format::Text),
        b"openmetrics" => Ok(Format::OpenMetrics),
        b"protobuf" => Ok(Format::Protobuf),
        _ => Err(ArgumentMistake::Value { flag: "--format", found: value.into_vec(), allowed }),
    }
}

fn coding(value: OsString) -> Result<Coding, ArgumentMistake> {
    let allowed = "identity, gzip, deflate or snappy";
    Coding::from_header(Some(&value.to_string_lossy())).map_err(|_| ArgumentMistake::Value {
        flag: "--coding",
        found: value.into_vec(),
        allowed,
    })
}

fn time_ns(value: OsString) -> Result<i64, ArgumentMistake> {
    let allowed = "nanoseconds since 1970, above 0";
    let time_ns = value.to_str().and_then(|text| text.parse().ok()).filter(|time| *time > 0);
    time_ns.ok_or_else(|| ArgumentMistake::Value {
        flag: "--time",
        found: value.into_vec(),
        allowed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_all(arguments: &[&str]) -> Result<Command, Error> {
        parse(arguments.iter().map(OsString::from))
    }

    #[test]
    fn arguments_say_what_to_do() {
        let none = Sources::default;
        let file = || Sources { file: Some(PathBuf::from("a.toml")), ..Sources::default() };
        for (arguments, want) in [
            (&[][..], Command::Run(none())),
            (&["--config", "a.toml"], Command::Run(file())),
            (&["--config=a.toml"], Command::Run(file())),
            (&["--check", "--config", "a.toml"], Command::Check(file())),
            (&["--config", "a.toml", "--print-config"], Command::PrintConfig(file())),
            (&["--version"], Command::Version),
            (&["-h"], Command::Help),
            (&["convert", "--help"], Command::ConvertHelp),
            (
                &["spool", "list", "--config=a.toml"],
                Command::Spool { place: SpoolPlace::Configured(file()), view: SpoolView::List },
            ),
            (
                &["spool", "--dir", "/x", "print"],
                Command::Spool {
                    place: SpoolPlace::Dir(PathBuf::from("/x")),
                    view: SpoolView::Print,
                },
            ),
            (&["spool", "-h"], Command::SpoolHelp),
            (
                &["--listen=:1", "--output", "file:/x", "--listen", "unix:/y", "--check"],
                Command::Check(Sources {
                    file: None,
                    shortcuts: vec![
                        (Shortcut::Listen, ":1".to_owned()),
                        (Shortcut::Output, "file:/x".to_owned()),
                        (Shortcut::Listen, "unix:/y".to_owned()),
                    ],
                }),
            ),
        ] {
            assert_eq!(parse_all(arguments), Ok(want), "{arguments:?}");
        }
    }

    #[test]
    fn a_wrong_argument_names_itself_and_the_remedy() {
        for (arguments, want) in [
            (
                &["--confg"][..],
                "\"--confg\" is not an argument of pushline; did you mean --config?",
            ),
            (
                &["a.toml"],
                "\"a.toml\" is not an argument of pushline; did you mean --config a.toml?",
            ),
            (&["server"], "\"server\" is not an argument of pushline; see pushline --help"),
            (&["--nothing"], "\"--nothing\" is not an argument of pushline; see pushline --help"),
            (&["--config"], "--config needs a value: --config FILE; see pushline --help"),
            (&["--config="], "--config needs a value: --config FILE; see pushline --help"),
            (&["--check=yes"], "--check takes no value; see pushline --help"),
            (&["spool"], "spool needs one of list and print; see pushline spool --help"),
            (
                &["spool", "list", "print"],
                "\"print\" is not an argument of pushline spool; see pushline spool --help",
            ),
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
            Ok(Command::Convert { sources, conversion }) => (sources.file, conversion),
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
            ("--nothing", "\"--nothing\" is not an argument of pushline convert"),
            ("--no-check", "\"--no-check\" is not an argument of pushline convert"),
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
