//! Blocks → one output: standard output, a file, a socket (SPEC 3). The contract between an output
//! and who offers it blocks is in `contract`.

mod address;
mod block;
mod contract;
mod file;
mod http;
mod line_end;
mod outcome;
mod progress;
mod rejected;
mod stdout;
mod stream;
mod target;

use crate::observe::log::Log;
use crate::observe::telemetry::Telemetry;
use rejected::Rejected;
use std::io;
use std::sync::Arc;

pub(crate) use address::{AddressError, check_host, split_address};
pub(crate) use block::{Block, count_lines};
pub(crate) use contract::{Gathering, Pauses, Sink, Unsettled};
pub(crate) use http::{BodyCoding, HttpOptions, StoreUrl, UrlError};
pub(crate) use outcome::{RefusedLines, Taken, Trouble};
pub(crate) use progress::Progress;
pub(crate) use rejected::RejectedOptions;
pub use target::OpenError;
pub(crate) use target::{Durability, SinkOptions, Target};

/// Opens the output. A socket is not connected yet: service does not wait for its consumer.
///
/// # Errors
/// A file that cannot be opened, or a standard output that is closed.
pub(crate) fn open(
    options: &SinkOptions,
    telemetry: &Arc<Telemetry>,
    log: Arc<Log>,
) -> Result<Box<dyn Sink>, OpenError> {
    let SinkOptions { target, durability, replay, .. } = options;
    let error = |error| OpenError { target: target.clone(), error };
    let rejected = Rejected::new(&options.rejected, Arc::clone(telemetry), Arc::clone(&log));
    let socket = |peer, rejected| {
        let reports = (Arc::clone(telemetry), Arc::clone(&log));
        Box::new(stream::Socket::new(peer, *replay, rejected, reports))
    };
    Ok(match target {
        Target::Stdout => Box::new(stdout::Stdout::open().map_err(error)?),
        Target::File(path) => {
            let file = file::File::open(path, *durability, Arc::clone(&log));
            Box::new(file.map_err(error)?)
        }
        Target::Tcp(address) => socket(stream::Peer::Tcp(address.clone()), rejected),
        Target::Unix(path) => socket(stream::Peer::Unix(path.clone()), rejected),
        Target::Http(url) => {
            let reports = (Arc::clone(telemetry), log);
            let opened = http::Http::open(url, &options.http, rejected, reports);
            Box::new(opened.map_err(|wrong| error(io::Error::other(wrong)))?)
        }
    })
}

/// Tries what an output needs to open, and changes nothing: the credential and the certificates of
/// a store.
///
/// # Errors
/// One of them cannot be used.
pub(crate) fn check(target: &Target, http: &HttpOptions) -> Result<(), OpenError> {
    let Target::Http(url) = target else { return Ok(()) };
    let error = |error| OpenError { target: target.clone(), error: io::Error::other(error) };
    http::Client::open(url, http).map(drop).map_err(error)
}
