//! The binary: arguments → configuration → the application, or one conversion → exit status (0
//! fine, 1 a failure while running or a refused body, 2 a wrong argument or configuration).

use pushline::app::cli::{self, Command};
use pushline::app::convert::{self, Conversion};
use pushline::app::signals::SignalHandlers;
use pushline::app::spool::{self, SpoolPlace, SpoolView};
use pushline::app::{self, Greeting, Surroundings};
use pushline::config::{Config, Error, Sources};
use pushline::observe::log::{LineStart, Log};
use pushline::supervise::notify::Supervisor;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os().skip(1)) {
        Ok(Command::Run(sources)) => run(sources),
        Ok(Command::Check(sources)) => with_fit_config(&sources, |config| check(&config)),
        Ok(Command::PrintConfig(sources)) => {
            with_config(&sources, |config| print(&config.to_string()))
        }
        Ok(Command::Convert { sources, conversion }) => {
            with_config(&sources, |config| convert(&config, &conversion))
        }
        Ok(Command::ConvertHelp) => print(&cli::convert_help()),
        Ok(Command::Spool { place: SpoolPlace::Dir(dir), view }) => show_spool(view, &dir),
        Ok(Command::Spool { place: SpoolPlace::Configured(sources), view }) => {
            with_config(&sources, |config| match spool::configured(&config) {
                Ok(dir) => show_spool(view, &dir),
                Err(error) => refuse(&error.to_string()),
            })
        }
        Ok(Command::SpoolHelp) => print(&cli::spool_help()),
        Ok(Command::Version) => print(concat!("pushline ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Command::Help) => print(&cli::help()),
        Err(error) => refuse(&error.to_string()),
    }
}

fn run(sources: Sources) -> ExitCode {
    // First of all: without a handler, SIGHUP kills.
    match SignalHandlers::install() {
        Ok(signals) => with_fit_config(&sources, |config| serve(config, sources.clone(), signals)),
        Err(error) => {
            tell(&format!("pushline: cannot handle signals: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

fn with_config(sources: &Sources, then: impl FnOnce(Config) -> ExitCode) -> ExitCode {
    match load(sources) {
        Ok(config) => then(config),
        Err(error) => refuse(&error.to_string()),
    }
}

/// The same, where what the start needs is there too.
fn with_fit_config(sources: &Sources, then: impl FnOnce(Config) -> ExitCode) -> ExitCode {
    with_config(sources, |config| match app::check(&config) {
        Ok(()) => then(config),
        Err(unfit) => refuse(&unfit.to_string()),
    })
}

fn load(sources: &Sources) -> Result<Config, Error> {
    // A variable that is not UTF-8 is not ours: all our names and values are UTF-8.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| name.into_string().ok().zip(value.into_string().ok()));
    Config::load(sources, environment)
}

/// Tells what is allowed and most likely a mistake.
fn check(config: &Config) -> ExitCode {
    for warning in app::warnings(config) {
        tell(&format!("pushline: {warning}\n"));
    }
    print("the configuration is good\n")
}

fn serve(config: Config, sources: Sources, signals: SignalHandlers) -> ExitCode {
    let log = Log::new(config.log.level, config.log.format);
    let log = Arc::new(log.beginning_with(LineStart::of_environment()));
    for warning in app::warnings(&config) {
        log.warn(&warning, &[]);
    }
    let supervisor = Supervisor::read(std::env::var_os, std::process::id(), Arc::clone(&log));
    let surroundings = Surroundings {
        load: Box::new(move || load(&sources)),
        supervisor,
        log: Arc::clone(&log),
        signals,
        greeting: Greeting::choose(io::stderr().is_terminal(), std::env::var_os),
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
        Ok(remarks) => {
            remarks.iter().for_each(|remark| tell(&format!("{remark}\n")));
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

fn show_spool(view: SpoolView, dir: &Path) -> ExitCode {
    let mut stdout = io::BufWriter::new(io::stdout());
    match spool::show(view, dir, &mut stdout) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("pushline: {error}\n"));
            ExitCode::FAILURE
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
