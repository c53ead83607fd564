//! The tests that run the whole way of a push, or the whole process, or look at the whole tree: one
//! binary, so that it is linked once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::string_slice,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::too_many_lines,
    clippy::let_underscore_must_use,
    clippy::unused_io_amount,
    reason = "in a test a panic is the verdict, and a figure that is printed is its result"
)]

// Where the scripted store looks for the decoder of bodies.
use pushline::push;

mod alone;
mod anything;
mod cases;
#[cfg(feature = "tls")]
mod certificates;
mod cli;
mod conversion;
mod convert;
mod costs;
mod delivery;
mod dry_run;
mod durability;
mod examples;
mod formats;
mod garbage;
mod golden;
mod hostile;
mod http;
mod lines;
mod load;
mod output;
mod page_commands;
mod pages;
mod process;
mod proxies;
#[path = "../../src/testing/random.rs"]
mod random;
mod reload;
mod rules;
mod similar;
mod small_host;
mod status;
#[path = "../../src/testing/store.rs"]
mod store;
mod stores;
mod strangers;
mod supervised;
mod telemetry;
mod tidy;
#[cfg(feature = "tls")]
mod tls;
mod vectors;
