//! Signals → what the process does about them (SPEC 3). The only file that names signal_hook.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use std::io;
use std::thread;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// SIGTERM or SIGINT: end in order; the second one ends at once.
    Stop,
    /// SIGHUP: open the output anew, read the configuration and the credentials again.
    Reload,
}

/// Calls `on_request` for each signal from here on, from a thread of its own.
///
/// # Errors
/// The system has no thread, or refuses a handler.
pub fn listen(on_request: impl Fn(Request) + Send + 'static) -> io::Result<()> {
    // SIGXFSZ is taken and dropped: a file at its size limit is an error of its write, not a death.
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGXFSZ])?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            match signal {
                SIGHUP => on_request(Request::Reload),
                SIGXFSZ => {}
                _ => on_request(Request::Stop),
            }
        }
    })?;
    Ok(())
}
