//! Signals → what the process does about them (SPEC 3). The only file that names signal_hook.
//!
//! The handlers are installed before anything else is done, since SIGHUP kills a process that has
//! none. A SIGHUP that comes during the start is kept and obeyed after it; SIGTERM and SIGINT keep
//! their default action until then, as a start that hangs must be ended all the same.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag::register_conditional_default;
use signal_hook::iterator::Signals;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignalRequest {
    /// SIGTERM or SIGINT: end in order; the second one ends at once.
    Stop,
    /// SIGHUP: open the output again, read the configuration and the credentials again.
    Reload,
}

/// The installed handlers.
#[derive(Debug)]
pub struct SignalHandlers {
    signals: Signals,
    /// Whether SIGTERM and SIGINT end the process at once.
    is_starting: Arc<AtomicBool>,
}

impl SignalHandlers {
    /// Installs them.
    ///
    /// # Errors
    /// The system refuses a handler.
    pub fn install() -> io::Result<SignalHandlers> {
        let is_starting = Arc::new(AtomicBool::new(true));
        for signal in [SIGTERM, SIGINT] {
            register_conditional_default(signal, Arc::clone(&is_starting))?;
        }
        // SIGXFSZ is taken and dropped: a file at its size limit fails in its write, and the
        // process goes on.
        let signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGXFSZ])?;
        Ok(SignalHandlers { signals, is_starting })
    }

    /// The start is over: calls `on_request` for each signal from here on, from a thread of its
    /// own, and for a SIGHUP that came before.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub(super) fn listen(
        mut self,
        on_request: impl Fn(SignalRequest) + Send + 'static,
    ) -> io::Result<()> {
        self.is_starting.store(false, Ordering::SeqCst);
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for signal in self.signals.forever() {
                match signal {
                    SIGHUP => on_request(SignalRequest::Reload),
                    SIGXFSZ => {}
                    _ => on_request(SignalRequest::Stop),
                }
            }
        })?;
        Ok(())
    }
}
