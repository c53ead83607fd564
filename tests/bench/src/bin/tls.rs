//! What TLS costs: `tls PLAIN TLS CA`, the addresses of two servers that differ in nothing else.
//!
//! - `kept_ratio`: pushes a second over kept connections, TLS ÷ plain, in interleaved rounds;
//! - `full_per_s`, `resumed_per_s`: new connections a second, each with a handshake and a probe;
//! - `probe_p50_ms`, `probe_p99_ms`: probes on a kept connection while 200 others shake hands in a
//!   second; `paced_per_s` says how many did.
//!
//! The clients run on the same cores, and their half of a handshake costs as much as the server's.

use bench::figures::tell;
use bench::request;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const CONNECTIONS: usize = 16;
const ROUNDS: usize = 6;
const ROUND: Duration = Duration::from_secs(2);
const HANDSHAKERS: usize = 4;
const PACED_PER_S: u32 = 200;
const PACED: Duration = Duration::from_secs(10);
/// Between two probes.
const PROBE_EVERY: Duration = Duration::from_millis(5);
const PROBE: &[u8] = b"GET /-/healthy HTTP/1.1\r\nHost: bench\r\n\r\n";

type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Fallible<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [plain, tls, ca] = &arguments[..] else { return Err("tls PLAIN TLS CA".into()) };
    let push = request::push(&request::small());
    let (mut plain_count, mut tls_count) = (0, 0);
    let config = client(ca, Resumption::disabled())?;
    for _ in 0..ROUNDS {
        plain_count += kept(&push, || Ok(connect(plain)?))?;
        tls_count += kept(&push, || secured(tls, &config))?;
    }
    let seconds = (ROUND * ROUNDS as u32).as_secs_f64();
    tell("plain_per_s", plain_count as f64 / seconds);
    tell("tls_per_s", tls_count as f64 / seconds);
    tell("kept_ratio", tls_count as f64 / plain_count as f64);
    tell("full_per_s", handshakes(tls, &config)?);
    tell("resumed_per_s", handshakes(tls, &client(ca, Resumption::in_memory_sessions(64))?)?);
    let (mut latencies, count) = probes(tls, &config)?;
    latencies.sort_unstable();
    let at = |share: f64| {
        let index = ((latencies.len() - 1) as f64 * share) as usize;
        latencies[index].as_secs_f64() * 1e3
    };
    tell("paced_per_s", count as f64 / PACED.as_secs_f64());
    tell("probe_p50_ms", at(0.5));
    tell("probe_p99_ms", at(0.99));
    Ok(())
}

fn client(ca: &str, resumption: Resumption) -> Fallible<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca)?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.resumption = resumption;
    Ok(Arc::new(config))
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(stream)
}

fn secured(
    address: &str,
    config: &Arc<ClientConfig>,
) -> Fallible<StreamOwned<ClientConnection, TcpStream>> {
    let session = ClientConnection::new(Arc::clone(config), ServerName::try_from("localhost")?)?;
    Ok(StreamOwned::new(session, connect(address)?))
}

/// Sends a request and reads its answer, which must be 200.
fn ask(stream: &mut (impl Read + Write), request: &[u8]) -> io::Result<()> {
    stream.write_all(request)?;
    stream.flush()?;
    let (mut answer, mut length) = ([0; 4096], 0);
    loop {
        let count = stream.read(&mut answer[length..])?;
        length += count;
        let received = &answer[..length];
        if count == 0 || !received.starts_with(&b"HTTP/1.1 200"[..length.min(12)]) {
            return Err(io::Error::other(String::from_utf8_lossy(received).into_owned()));
        }
        // Neither a push nor a probe is answered with an end of line in a second segment.
        let has_head = received.windows(4).any(|window| window == b"\r\n\r\n");
        let is_empty = received.windows(19).any(|window| window == b"Content-Length: 0\r\n");
        if has_head && (is_empty || received.ends_with(b"healthy\n")) {
            return Ok(());
        }
    }
}

/// Pushes over kept connections, one thread each, for one round; how many.
fn kept<S: Read + Write>(push: &[u8], connect: impl Fn() -> Fallible<S> + Sync) -> Fallible<u64> {
    let (count, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                scope.spawn(|| -> Fallible<()> {
                    let mut stream = connect()?;
                    ask(&mut stream, push)?;
                    while !is_over.load(Ordering::Relaxed) {
                        ask(&mut stream, push)?;
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(())
                })
            })
            .collect();
        // What the first handshakes take is not counted.
        thread::sleep(ROUND / 4);
        let before = count.load(Ordering::Relaxed);
        thread::sleep(ROUND);
        let counted = count.load(Ordering::Relaxed) - before;
        is_over.store(true, Ordering::Relaxed);
        lanes.into_iter().try_for_each(|lane| lane.join().map_err(|_| "a client panicked")?)?;
        Ok(counted)
    })
}

/// New connections a second, each with a handshake and a probe.
fn handshakes(address: &str, config: &Arc<ClientConfig>) -> Fallible<f64> {
    let count = AtomicU64::new(0);
    let end = Instant::now() + 2 * ROUND;
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..HANDSHAKERS)
            .map(|_| {
                scope.spawn(|| -> Fallible<()> {
                    while Instant::now() < end {
                        ask(&mut secured(address, config)?, PROBE)?;
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(())
                })
            })
            .collect();
        lanes.into_iter().try_for_each(|lane| lane.join().map_err(|_| "a client panicked")?)
    })?;
    Ok(count.load(Ordering::Relaxed) as f64 / (2 * ROUND).as_secs_f64())
}

/// How long probes on a kept connection take while others shake hands, and how many of those did.
fn probes(address: &str, config: &Arc<ClientConfig>) -> Fallible<(Vec<Duration>, u64)> {
    let (count, end) = (AtomicU64::new(0), Instant::now() + PACED);
    let mut kept = secured(address, config)?;
    ask(&mut kept, PROBE)?;
    let mut latencies = Vec::new();
    thread::scope(|scope| -> Fallible<()> {
        let lanes: Vec<_> = (0..HANDSHAKERS)
            .map(|_| {
                scope.spawn(|| -> Fallible<()> {
                    let pause = Duration::from_secs(1) * HANDSHAKERS as u32 / PACED_PER_S;
                    let mut due = Instant::now();
                    while due < end {
                        ask(&mut secured(address, config)?, PROBE)?;
                        count.fetch_add(1, Ordering::Relaxed);
                        due += pause;
                        thread::sleep(due.saturating_duration_since(Instant::now()));
                    }
                    Ok(())
                })
            })
            .collect();
        // A probe is due every few milliseconds, and one that is late waits from then on.
        let mut due = Instant::now();
        while due < end {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            ask(&mut kept, PROBE)?;
            latencies.push(due.elapsed());
            due += PROBE_EVERY;
        }
        lanes.into_iter().try_for_each(|lane| lane.join().map_err(|_| "a client panicked")?)
    })?;
    Ok((latencies, count.load(Ordering::Relaxed)))
}
