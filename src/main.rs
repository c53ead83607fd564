//! The binary: arguments → configuration → the application, or one conversion → exit status (0
//! fine, 1 a failure while running or a refused body, 2 a wrong argument or configuration).

use pushline::app::cli::{self, Command};
use pushline::app::convert::{self, Conversion};
use pushline::app::signals::SignalHandlers;
use pushline::app::{self, Surroundings};
use pushline::config::{Config, Error};
use pushline::observe::log::Log;
use pushline::supervise::notify::Supervisor;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os().skip(1)) {
        Ok(Command::Run { config }) => run(config),
        Ok(Command::Check { config }) => {
            with_fit_config(config.as_deref(), |config| check(&config))
        }
        Ok(Command::PrintConfig { config }) => {
            with_config(config.as_deref(), |config| print(&config.to_string()))
        }
        Ok(Command::Convert { config, conversion }) => {
            with_config(config.as_deref(), |config| convert(&config, &conversion))
        }
        Ok(Command::ConvertHelp) => print(cli::CONVERT_HELP),
        Ok(Command::Version) => print(concat!("pushline ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Command::Help) => print(cli::HELP),
        Err(error) => refuse(&error.to_string()),
    }
}

fn run(file: Option<PathBuf>) -> ExitCode {
    // First of all: without a handler, SIGHUP kills.
    match SignalHandlers::install() {
        Ok(signals) => {
            let config = file.clone();
            with_fit_config(config.as_deref(), |config| serve(config, file, signals))
        }
        Err(error) => {
            tell(&format!("pushline: cannot handle signals: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

fn with_config(file: Option<&Path>, then: impl FnOnce(Config) -> ExitCode) -> ExitCode {
    match load(file) {
        Ok(config) => then(config),
        Err(error) => refuse(&error.to_string()),
    }
}

/// The same, where what the start needs is there too.
fn with_fit_config(file: Option<&Path>, then: impl FnOnce(Config) -> ExitCode) -> ExitCode {
    with_config(file, |config| match app::check(&config) {
        Ok(()) => then(config),
        Err(unfit) => refuse(&unfit.to_string()),
    })
}

fn load(file: Option<&Path>) -> Result<Config, Error> {
    // A variable that is not UTF-8 is none of ours: all our names and values are ASCII.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| name.into_string().ok().zip(value.into_string().ok()));
    Config::load(file, environment)
}

/// Tells what is allowed and most likely a mistake.
fn check(config: &Config) -> ExitCode {
    for warning in config.warnings() {
        tell(&format!("pushline: {warning}\n"));
    }
    print("the configuration is good\n")
}

fn serve(config: Config, file: Option<PathBuf>, signals: SignalHandlers) -> ExitCode {
    let log = Arc::new(Log::new(config.log.level, config.log.format));
    for warning in config.warnings() {
        log.warn(&warning, &[]);
    }
    let surroundings = Surroundings {
        load: Box::new(move || load(file.as_deref())),
        supervisor: Supervisor::read(std::env::var_os, std::process::id(), Arc::clone(&log)),
        log: Arc::clone(&log),
        signals,
    };
    match app::run(config, surroundings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log.error("ended", &[("error", &error)]);
            ExitCode::from(error.exit_status())
        }
    }
}

fn convert(config: &Config, conversion: &Conversion) -> ExitCode {
    let settings = convert::ConvertSettings {
        inputs: config.inputs(),
        push: config.push(),
        body_bytes_max: config.server.gate.body_bytes_max,
    };
    match convert::run(conversion, &settings, &mut io::stdout()) {
        Ok(report) if report.is_complete() => ExitCode::SUCCESS,
        Ok(report) => {
            tell(&format!("{report}\n"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            if !error.is_silent() {
                tell(&format!("{error}\n"));
            }
            ExitCode::from(error.exit_status())
        }
    }
}

fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Every mistake is a line of its own.
fn refuse(mistakes: &str) -> ExitCode {
    let lines: String = mistakes.lines().map(|line| format!("pushline: {line}\n")).collect();
    tell(&lines);
    ExitCode::from(2)
}

fn tell(lines: &str) {
    if io::stderr().write_all(lines.as_bytes()).is_err() {
        // OK because nobody reads standard error: the exit status tells.
    }
}
