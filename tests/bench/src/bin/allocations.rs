//! Counts what the allocator is asked for in steady state, in a process of its own: the counting
//! would slow down whatever else is measured.
//!
//! Three ways of a push are counted: its conversion alone, over the whole server, and the request
//! that the server's own tiny_http gets of it over tiny_http alone, so that its share of the
//! server's can be taken off.

use bench::body::{Body, Notation};
use bench::conversion::Path;
use bench::figures::tell;
use bench::request;
use pushline::app::signals::SignalHandlers;
use pushline::app::{self, Greeting, Surroundings};
use pushline::config::{Config, Sources};
use pushline::observe::log::{Level, Log, LogFormat};
use pushline::supervise::notify::Supervisor;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const WARM_UP: u64 = 100;
const PUSHES: u64 = 1000;
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> io::Result<()> {
    for notation in [Notation::Text, Notation::Protobuf] {
        for (large, small) in [("node", "node100k"), ("hist", "hist100k")] {
            let (large_body, small_body) = (body(large, notation), body(small, notation));
            let (many, few) = (converting(&large_body, 10), converting(&small_body, 10));
            let samples = (large_body.sample_count - small_body.sample_count) as f64;
            let label = notation.name();
            tell(format_args!("{label}.{large}.per_push"), many);
            tell(format_args!("{label}.{large}.per_sample"), (many - few) / samples);
        }
        let per_push = converting(&body("small", notation), PUSHES);
        tell(format_args!("{}.small.per_push", notation.name()), per_push);
    }
    let small = request::small();
    tell("tiny_http.per_push", pushing(serve_tiny_http()?, &request::private())?);
    tell("server.per_push", pushing(serve_pushline()?, &request::push(&small))?);
    Ok(())
}

fn body(name: &str, notation: Notation) -> Body {
    Body::named(name, notation).unwrap_or_else(|| panic!("there is no body {name}"))
}

/// Allocations and reallocations of one conversion.
fn converting(body: &Body, pushes: u64) -> f64 {
    let mut path = Path::new();
    let mut convert = |times| (0..times).for_each(|_| _ = path.convert(body));
    convert(10);
    let region = Region::new(GLOBAL);
    convert(pushes);
    per_push(&region, pushes)
}

fn per_push(region: &Region<'_, System>, pushes: u64) -> f64 {
    let change = region.change();
    (change.allocations + change.reallocations) as f64 / pushes as f64
}

/// Allocations of the whole process for one push over one connection; its client makes none.
fn pushing(address: SocketAddr, request: &[u8]) -> io::Result<f64> {
    let mut stream = connect(address)?;
    let mut answer = [0; 4096];
    let mut push = || -> io::Result<()> {
        stream.write_all(request)?;
        let count = stream.read(&mut answer)?;
        let answer = answer.get(..count).unwrap_or_default();
        if answer.starts_with(b"HTTP/1.1 200 ") && answer.ends_with(b"\r\n\r\n") {
            return Ok(());
        }
        Err(io::Error::other(String::from_utf8_lossy(answer).into_owned()))
    };
    (0..WARM_UP).try_for_each(|_| push())?;
    let region = Region::new(GLOBAL);
    (0..PUSHES).try_for_each(|_| push())?;
    Ok(per_push(&region, PUSHES))
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match TcpStream::connect(address) {
            Ok(stream) => return Ok(stream),
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// The whole of pushline with its defaults, writing to nowhere.
fn serve_pushline() -> io::Result<SocketAddr> {
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let environment = [
        ("PUSHLINE_SERVER_LISTEN".to_owned(), address.to_string()),
        ("PUSHLINE_OUTPUT_TARGET".to_owned(), "file:/dev/null".to_owned()),
    ];
    let config =
        Config::load(&Sources::default(), environment.into_iter()).map_err(io::Error::other)?;
    let log = Arc::new(Log::new(Level::Error, LogFormat::default()));
    thread::spawn(move || {
        let supervisor = Supervisor::read(|_| None, std::process::id(), Arc::clone(&log));
        // Nobody asks it to read its configuration again.
        let load = Box::new(|| Ok(Config::default()));
        let signals = SignalHandlers::install();
        let signals = signals.map_err(app::Error::System)?;
        app::run(
            config,
            Surroundings { load, supervisor, log, signals, greeting: Greeting::Omitted },
        )
    });
    Ok(address)
}

/// tiny_http alone, used as pushline uses it, but for the answer, which the load waits for here.
fn serve_tiny_http() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let server = tiny_http::Server::from_listener(listener, None).map_err(io::Error::other)?;
    thread::spawn(move || -> io::Result<()> {
        loop {
            let mut writer = server.recv()?.into_writer();
            writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
            writer.flush()?;
        }
    });
    Ok(address)
}
