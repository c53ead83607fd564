//! SIGHUP: configuration, credentials and certificates are read again, and each stage is handed its
//! new options. Everything that can fail comes first, so that a mistake changes nothing; only the
//! thread that emits own figures is started last, and the log says so if it cannot be.

use super::check::{self, chain_ends_s};
use super::running::Running;
use crate::config::{Config, KeyChange};
use crate::delivery::emitter::{self, Emitter};
use crate::intake::gate::auth::Auth;
use crate::intake::worker::InputSettings;
use crate::observe::log::{self, Log};
use crate::system;
use crate::tls::TlsServer;
use std::io;
use std::sync::Arc;

/// What a reload takes: all that can fail is done.
struct ReadAgain {
    config: Config,
    auth: Auth,
    tls: Option<TlsServer>,
}

impl Running {
    /// Opens the output again, whatever the configuration says, then takes the new credentials and
    /// every key that can change: all of them, or none if there is a mistake.
    pub(super) fn reload(&mut self) {
        self.queue.reopen();
        match self.read_again() {
            Ok(read) => self.take(read),
            Err(mistakes) => {
                for mistake in mistakes.lines() {
                    self.log.error("the configuration stays as it was", &[("error", &mistake)]);
                }
            }
        }
    }

    /// # Errors
    /// Every mistake, one a line.
    fn read_again(&self) -> Result<ReadAgain, String> {
        let config = (self.load)().map_err(|mistakes| mistakes.to_string())?;
        let auth = Auth::open(&config.credential_files()).map_err(|error| error.to_string())?;
        let tls =
            config.server.gate.tls.open(system::now_s()).map_err(|error| error.to_string())?;
        Ok(ReadAgain { config, auth, tls })
    }

    fn take(&mut self, read: ReadAgain) {
        let ReadAgain { config: new, auth, tls } = read;
        let changes = self.config.changes(&new);
        let credentials = if auth == *self.auth.read() { "unchanged" } else { "changed" };
        let certificate = self.take_tls(tls);
        let config = new.keeping_fixed(&self.config);
        self.auth.replace(auth);
        self.settings.replace(InputSettings::new(config.inputs(), config.push()));
        self.queue.replace(config.output.queue);
        self.gate.replace(config.server.gate.clone());
        self.log.replace(config.log.level, config.log.format);
        self.status.set_facts(config.facts());
        let is_other_interval = config.telemetry != self.config.telemetry;
        // As much as the old level or the new one lets through: its own change is told too.
        let level = config.log.level.max(self.config.log.level);
        tell_changes(&Log::new(level, config.log.format), &changes, (credentials, certificate));
        for warning in check::warnings(&config) {
            self.log.warn(&warning, &[]);
        }
        let connections_max = config.server.gate.connections_max;
        if connections_max > self.config.server.gate.connections_max {
            super::raise_descriptor_limit(&self.log, connections_max);
        }
        self.config = config;
        if is_other_interval && let Err(error) = self.emit() {
            self.log.error("own figures cannot be emitted", &[("error", &error)]);
        }
    }

    /// Has new connections speak by what was read; whether that is another pair. The same one goes
    /// on, so that its sessions can be resumed.
    fn take_tls(&self, tls: Option<TlsServer>) -> Option<&'static str> {
        if tls == *self.tls.read() {
            return tls.map(|_| "unchanged");
        }
        self.telemetry.tls_ends_s.set(chain_ends_s(tls.as_ref()));
        let what = if tls.is_some() { "changed" } else { "given up" };
        self.tls.replace(tls);
        Some(what)
    }

    /// Begins to emit own figures as the configuration says now.
    pub(super) fn emit(&mut self) -> io::Result<()> {
        if let Some(emitter) = self.emitter.take() {
            emitter.stop();
        }
        let links = emitter::EmitterLinks {
            push: self.config.push(),
            queue: self.queue.clone(),
            telemetry: Arc::clone(&self.telemetry),
            log: Arc::clone(&self.log),
        };
        let interval = self.config.telemetry.emit_interval;
        self.emitter = interval.map(|interval| Emitter::start(interval, links)).transpose()?;
        Ok(())
    }
}

/// Says what was taken, in one line, and what was not, in one each.
fn tell_changes(
    log: &Log,
    changes: &[KeyChange],
    (credentials, certificate): (&str, Option<&'static str>),
) {
    let (fixed, taken): (Vec<_>, Vec<_>) = changes.iter().partition(|one| one.needs_restart());
    for KeyChange { key, old, new, .. } in fixed {
        let fields: [log::Field<'_>; 3] = [("key", key), ("running", old), ("configured", new)];
        log.warn("a changed key needs a restart, the old value is used until then", &fields);
    }
    let taken: Vec<_> = taken.iter().map(|change| change.to_string()).collect();
    let taken = if taken.is_empty() { "nothing".to_owned() } else { taken.join(", ") };
    let mut fields: Vec<log::Field<'_>> = vec![("changed", &taken), ("credentials", &credentials)];
    if let Some(certificate) = &certificate {
        fields.push(("certificate", certificate));
    }
    log.info("configuration and credentials read again", &fields);
}
