//! Listeners that speak TLS, over real sockets, with the certificates of `tests/data/tls`: clients
//! of every kind are served, hostile ones are refused, and the next ordinary push is served.

use crate::http::{Client, push, request};
use crate::process::{Collected, PATIENCE, Pushline, command, folder};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned,
    SupportedProtocolVersion,
};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls").join(name)
}

/// A configuration with that certificate; `more` is further keys of `[server.tls]` and tables.
fn speaking(name: &str, more: &str) -> String {
    let (cert, key) = (data(&format!("{name}.pem")), data(&format!("{name}.key")));
    format!("[server.tls]\ncert = \"{}\"\nkey = \"{}\"\n{more}\n", cert.display(), key.display())
}

/// The same, for clients with a certificate.
fn asking_clients(more: &str) -> String {
    speaking("server", &format!("client_ca = \"{}\"\n{more}", data("ca.pem").display()))
}

/// A client that trusts that authority and has that certificate.
fn trusting(
    ca: &str,
    own: Option<&str>,
    version: &'static SupportedProtocolVersion,
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(data(ca)).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_protocol_versions(&[version]).unwrap();
    let builder = builder.with_root_certificates(roots);
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let chain = CertificateDer::pem_file_iter(data(&format!("{name}.pem"))).unwrap();
            let key = PrivateKeyDer::from_pem_file(data(&format!("{name}.key"))).unwrap();
            builder.with_client_auth_cert(chain.map(Result::unwrap).collect(), key).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.resumption = Resumption::in_memory_sessions(8);
    Arc::new(config)
}

/// An ordinary client.
fn ordinary() -> Arc<ClientConfig> {
    trusting("ca.pem", None, &TLS13)
}

struct TlsClient {
    stream: StreamOwned<ClientConnection, TcpStream>,
    received: Vec<u8>,
}

impl TlsClient {
    fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> TlsClient {
        let name = ServerName::try_from("localhost").unwrap();
        let session = ClientConnection::new(Arc::clone(config), name).unwrap();
        let socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        TlsClient { stream: StreamOwned::new(session, socket), received: Vec::new() }
    }

    /// Sends a request, and reads the status and the body of its answer.
    fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<(u16, String)> {
        self.stream.write_all(&request(method, path.as_bytes(), headers, body))?;
        self.read_answer()
    }

    fn read_answer(&mut self) -> io::Result<(u16, String)> {
        let mut chunk = [0; 16 * 1024];
        loop {
            let text = String::from_utf8_lossy(&self.received).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
                let length: usize = length.unwrap().parse().unwrap();
                if body.len() >= length {
                    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                    self.received.drain(..head.len() + 4 + length);
                    return Ok((status, body[..length].to_owned()));
                }
            }
            match self.stream.read(&mut chunk)? {
                0 => return Err(io::ErrorKind::ConnectionAborted.into()),
                count => self.received.extend_from_slice(&chunk[..count]),
            }
        }
    }

    fn push(&mut self) -> io::Result<u16> {
        self.ask("POST", "/metrics/job/x", &[], b"a_b 1\n").map(|(status, _)| status)
    }
}

/// The status of one push on a connection of its own.
fn push_with(address: SocketAddr, config: &Arc<ClientConfig>) -> io::Result<u16> {
    TlsClient::connect(address, config).push()
}

fn assert_serves(address: SocketAddr) {
    assert_eq!(push_with(address, &ordinary()).unwrap(), 200);
}

/// How many handshakes had that outcome, as `/metrics` says.
fn outcomes(address: SocketAddr, config: &Arc<ClientConfig>, outcome: &str) -> u64 {
    let (_, text) = TlsClient::connect(address, config).ask("GET", "/metrics", &[], b"").unwrap();
    let name = format!("pushline_tls_handshakes_total{{outcome=\"{outcome}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&*name)).unwrap().parse().unwrap()
}

fn wait_for_outcome(address: SocketAddr, outcome: &str, count: u64) {
    let (deadline, config) = (Instant::now() + PATIENCE, ordinary());
    while outcomes(address, &config, outcome) < count {
        assert!(Instant::now() < deadline, "{outcome}: {}", outcomes(address, &config, outcome));
    }
}

#[test]
fn a_push_is_served_with_every_kind_of_key_and_both_versions() {
    for name in ["server", "rsa", "ed25519", "chain"] {
        let (pushline, output) = Pushline::start(&speaking(name, ""));
        for version in [&TLS12, &TLS13] {
            let mut client =
                TlsClient::connect(pushline.address, &trusting("ca.pem", None, version));
            for _ in 0..3 {
                assert_eq!(client.push().unwrap(), 200, "{name}, {version:?}");
            }
            assert_eq!(client.stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
        }
        output.wait_for_text("a,job=x b=1 ");
        pushline.log.wait_for_text(" tls=on\n");
    }
}

#[test]
fn sessions_are_resumed_and_counted_as_such() {
    let (pushline, _) = Pushline::start(&asking_clients(""));
    for (version, count) in [(&TLS12, 1), (&TLS13, 2)] {
        let config = trusting("ca.pem", Some("client"), version);
        for want in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let mut client = TlsClient::connect(pushline.address, &config);
            assert_eq!(client.push().unwrap(), 200);
            assert_eq!(client.stream.conn.handshake_kind(), Some(want), "{version:?}");
        }
        let other = trusting("ca.pem", Some("client"), &TLS13);
        assert_eq!(outcomes(pushline.address, &other, "resumed"), count);
    }
}

#[test]
fn a_client_without_a_certificate_of_the_authority_is_refused_in_the_handshake() {
    let (pushline, output) = Pushline::start(&asking_clients(""));
    let address = pushline.address;
    for version in [&TLS12, &TLS13] {
        for own in [None, Some("stranger"), Some("expired")] {
            let refused = push_with(address, &trusting("ca.pem", own, version));
            assert!(refused.is_err(), "{own:?}: {refused:?}");
        }
        let known = trusting("ca.pem", Some("client"), version);
        let mut client = TlsClient::connect(address, &known);
        assert_eq!(client.push().unwrap(), 200);
        let (_, status) = client.ask("GET", "/api/v1/status", &[], b"").unwrap();
        assert!(status.contains("\"client\":\"pushline tests client\""), "{status}");
    }
    let known = trusting("ca.pem", Some("client"), &TLS13);
    assert_eq!(outcomes(address, &known, "no_certificate"), 2);
    assert_eq!(outcomes(address, &known, "bad_certificate"), 4);
    pushline.log.wait_for_text("msg=\"a TLS handshake failed\" peer=127.0.0.1:");
    let lines = output.snapshot();
    assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count(), 2, "of the two that are known");
}

#[test]
fn a_client_that_does_not_trust_the_certificate_is_counted() {
    let (pushline, _) = Pushline::start(&speaking("server", ""));
    for version in [&TLS12, &TLS13] {
        push_with(pushline.address, &trusting("other.pem", None, version)).unwrap_err();
    }
    wait_for_outcome(pushline.address, "alert", 2);
}

#[test]
fn credentials_are_asked_for_besides_a_certificate() {
    let folder = folder();
    let path = folder.join("credentials");
    std::fs::write(
        &path,
        format!(
            "bearer {{sha256}}{}\n",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        ),
    )
    .unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let input = format!(
        "[[inputs.pushgateway]]\nroute_prefix = \"/own\"\nauth_file = \"{}\"\n\
         [[inputs.pushgateway]]\n",
        path.display()
    );
    let (pushline, _) = Pushline::start(&asking_clients(&input));
    let known = trusting("ca.pem", Some("client"), &TLS13);
    let mut client = TlsClient::connect(pushline.address, &known);
    for (path, headers, want) in [
        ("/metrics/job/x", &[][..], 200),
        ("/own/metrics/job/y", &[("Authorization", "Bearer abc")], 200),
        ("/own/metrics/job@base64/eA", &[("Authorization", "Bearer abc")], 200),
    ] {
        assert_eq!(client.ask("POST", path, headers, b"a_b 1\n").unwrap().0, want, "{path}");
    }
    for path in ["/own/metrics/job/y", "/own/metrics/job@base64/eA", "/own/metrics/job/y?dry_run"] {
        let mut client = TlsClient::connect(pushline.address, &known);
        let (status, text) = client.ask("POST", path, &[], b"a_b 1\n").unwrap();
        assert_eq!((status, &*text), (401, "valid credentials are needed\n"), "{path}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn plain_http_is_answered_plainly_with_what_is_wrong() {
    let (pushline, _) = Pushline::start(&speaking("server", ""));
    let body = vec![b'x'; 1 << 20];
    for body in [&b"a_b 1\n"[..], &body] {
        let mut client = Client::connect(pushline.address);
        client.send(&request("POST", b"/metrics/job/x", &[], body)).ok();
        let answer = client.read_answer(true).unwrap();
        assert_eq!(answer.status, 400);
        assert_eq!(
            answer.text(),
            "this port speaks TLS: begin the URL with https:// (server.tls.cert is set)\n"
        );
        assert!(client.is_closed());
    }
    pushline.log.wait_for_text("msg=\"plain HTTP came to a port that speaks TLS\" peer=127.0.0.1:");
    assert_eq!(outcomes(pushline.address, &ordinary(), "plain_http"), 2);
}

#[test]
fn tls_at_a_plain_port_is_named_in_the_log() {
    let (pushline, _) = Pushline::start("");
    for _ in 0..3 {
        push_with(pushline.address, &ordinary()).unwrap_err();
    }
    let mut client = Client::connect(pushline.address);
    client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").unwrap();
    let answer = client.read_answer(true).unwrap();
    assert_eq!(
        (answer.status, answer.text()),
        (400, "this port speaks plain HTTP: begin the URL with http://, or set server.tls.cert\n")
    );
    assert_eq!(push(pushline.address, "/metrics/job/x", "a_b 1\n").status, 200);
    let named =
        "msg=\"TLS came to a port that speaks plain HTTP (server.tls.cert)\" peer=127.0.0.1:";
    pushline.log.wait_for_text(named);
    let log = String::from_utf8(pushline.log.snapshot()).unwrap();
    assert_eq!(log.matches(named).count(), 1, "once a minute: {log}");
}

/// A hello of an ordinary client.
fn hello() -> Vec<u8> {
    let name = ServerName::try_from("localhost").unwrap();
    let mut session = ClientConnection::new(ordinary(), name).unwrap();
    let mut hello = Vec::new();
    session.write_tls(&mut hello).unwrap();
    hello
}

#[test]
fn garbage_in_place_of_a_hello_is_refused_and_the_next_push_is_served() {
    let (pushline, _) = Pushline::start(&speaking("server", ""));
    let hello = hello();
    let record = |kind: u8, length: u16, body: &[u8]| {
        [&[kind, 3, 1][..], &length.to_be_bytes(), body].concat()
    };
    let flipped = |at: usize| {
        let mut bytes = hello.clone();
        bytes[at] ^= 0xff;
        bytes
    };
    let mut cases = vec![
        ("zeros", vec![0; 70_000]),
        ("ones", vec![0xff; 70_000]),
        ("SSL 2", b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10".to_vec()),
        ("an alert", record(21, 2, &[2, 40])),
        ("data first", record(23, 5, b"hello")),
        ("an empty record", record(22, 0, b"")),
        ("many empty records", record(22, 0, b"").repeat(5_000)),
        ("a record beyond all bounds", record(22, 0xffff, &[1; 70_000])),
        ("a message of 16 MiB", record(22, 4, &[1, 0xff, 0xff, 0xff]).repeat(9_000)),
        ("change of cipher, again and again", record(20, 1, &[1]).repeat(9_000)),
        ("two hellos", [&hello[..], &hello].concat()),
    ];
    cases.extend((0..hello.len()).step_by(7).map(|at| ("a flipped byte", flipped(at))));
    for (name, bytes) in cases {
        let mut stream = TcpStream::connect(pushline.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // OK because it may be refused before all of it is sent.
        stream.write_all(&bytes).ok();
        stream.shutdown(Shutdown::Write).ok();
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        let is_late = matches!(&read, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        assert!(!is_late, "{name}: it is not closed");
        assert!(!answer.starts_with(b"HTTP"), "{name}");
    }
    assert_serves(pushline.address);
    assert!(outcomes(pushline.address, &ordinary(), "malformed") > 5);
}

#[test]
fn a_handshake_that_does_not_end_is_closed_in_time_and_a_silent_connection_is_idle() {
    let server = "[server]\nhead_timeout = \"300ms\"\nidle_timeout = \"60s\"\n";
    let (pushline, _) = Pushline::start(&(server.to_owned() + &speaking("server", "")));
    let silent = TcpStream::connect(pushline.address).unwrap();
    let hello = hello();
    for part in [1, 5, hello.len() / 2, hello.len()] {
        let mut stream = TcpStream::connect(pushline.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&hello[..part]).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
    }
    assert_eq!(outcomes(pushline.address, &ordinary(), "timed_out"), 4);
    silent.set_nonblocking(true).unwrap();
    let unread = (&silent).read(&mut [0]).unwrap_err();
    assert_eq!(unread.kind(), io::ErrorKind::WouldBlock, "it is open still");
}

#[test]
fn bytes_that_come_one_by_one_and_records_of_one_byte_make_a_push() {
    let (pushline, output) = Pushline::start(&speaking("server", ""));
    let name = ServerName::try_from("localhost").unwrap();
    for version in [&TLS12, &TLS13] {
        let config = trusting("ca.pem", None, version);
        let mut session = ClientConnection::new(config, name.clone()).unwrap();
        let mut socket = TcpStream::connect(pushline.address).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        // Each byte of the handshake is a segment of its own.
        while session.is_handshaking() {
            let mut flight = Vec::new();
            while session.wants_write() {
                session.write_tls(&mut flight).unwrap();
            }
            for byte in flight {
                socket.write_all(&[byte]).unwrap();
            }
            if session.is_handshaking() {
                session.read_tls(&mut socket).unwrap();
                session.process_new_packets().unwrap();
            }
        }
        // Each byte of the request is a record of its own, all of them in one segment.
        let mut records = Vec::new();
        for byte in request("POST", b"/metrics/job/x", &[], b"a_b 1\n") {
            session.writer().write_all(&[byte]).unwrap();
            while session.wants_write() {
                session.write_tls(&mut records).unwrap();
            }
        }
        socket.write_all(&records).unwrap();
        let mut client =
            TlsClient { stream: StreamOwned::new(session, socket), received: Vec::new() };
        assert_eq!(client.read_answer().unwrap().0, 200);
        let written = output.take_until(|bytes| bytes.ends_with(b"\n"));
        assert!(written.starts_with(b"a,job=x b=1 "), "{}", written.escape_ascii());
    }
}

#[test]
fn a_client_that_sends_no_more_still_gets_its_answer_and_an_orderly_end() {
    let (pushline, _) = Pushline::start(&speaking("server", ""));
    for version in [&TLS12, &TLS13] {
        let mut client = TlsClient::connect(pushline.address, &trusting("ca.pem", None, version));
        client.stream.write_all(&request("POST", b"/metrics/job/x", &[], b"a_b 1\n")).unwrap();
        client.stream.conn.send_close_notify();
        client.stream.flush().unwrap();
        client.stream.sock.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.read_answer().unwrap().0, 200);
        // rustls tells an end without close_notify as an error.
        assert_eq!(client.stream.read(&mut [0]).unwrap(), 0, "{version:?}");
    }
    let mut client = TlsClient::connect(pushline.address, &ordinary());
    let (status, _) =
        client.ask("POST", "/metrics/job/x", &[("Connection", "close")], b"a_b 1\n").unwrap();
    assert_eq!((status, client.stream.read(&mut [0]).unwrap()), (200, 0));
    let server = "[server]\nidle_timeout = \"200ms\"\n".to_owned();
    let (idle, _) = Pushline::start(&(server + &speaking("server", "")));
    let mut client = TlsClient::connect(idle.address, &ordinary());
    assert_eq!(client.push().unwrap(), 200);
    assert_eq!(client.stream.read(&mut [0]).unwrap(), 0, "the end of its patience is orderly too");
}

#[test]
fn a_body_that_is_cut_off_is_no_push() {
    let (pushline, output) = Pushline::start(&speaking("server", ""));
    for is_orderly in [true, false] {
        let mut client = TlsClient::connect(pushline.address, &ordinary());
        let whole = request("POST", b"/metrics/job/cut", &[], b"a_b 1\na_b 2\n");
        client.stream.write_all(&whole[..whole.len() - 6]).unwrap();
        if is_orderly {
            client.stream.conn.send_close_notify();
        }
        client.stream.flush().unwrap();
        client.stream.sock.shutdown(Shutdown::Write).unwrap();
        let (status, text) = client.read_answer().unwrap();
        assert_eq!((status, &*text), (400, "the body ended after 6 bytes, before it was whole\n"));
    }
    assert_serves(pushline.address);
    assert!(!String::from_utf8(output.snapshot()).unwrap().contains("cut"));
}

#[test]
fn large_bodies_and_large_answers_pass_through_whole() {
    let (pushline, _) = Pushline::start(&speaking("server", ""));
    let body: String =
        (0..60_000).map(|number| format!("a_b{{n=\"{number}\"}} {number} 9\n")).collect();
    let want: String =
        (0..60_000).map(|number| format!("a,job=x,n={number} b={number} 9000000\n")).collect();
    for version in [&TLS12, &TLS13] {
        for headers in [&[][..], &[("Transfer-Encoding", "chunked")]] {
            let mut client =
                TlsClient::connect(pushline.address, &trusting("ca.pem", None, version));
            let answer = client.ask("POST", "/metrics/job/x?dry_run", headers, body.as_bytes());
            let (status, mut lines) = answer.unwrap();
            // A remark follows the lines.
            lines.truncate(lines.find('#').unwrap_or(lines.len()));
            assert_eq!(status, 200);
            assert!(lines == want, "{} bytes of lines in place of {}", lines.len(), want.len());
            assert_eq!(client.push().unwrap(), 200, "on the same connection");
        }
    }
}

#[test]
fn clients_that_hang_in_their_handshake_make_room() {
    let server = "[server]\nmax_connections = 4\nhead_timeout = \"60s\"\n".to_owned();
    let (pushline, _) = Pushline::start(&(server + &speaking("server", "")));
    let hello = hello();
    let hanging: Vec<_> = (0..200)
        .map(|number| {
            let mut stream = TcpStream::connect(pushline.address).unwrap();
            // Some have half a hello sent, some a whole one and nothing after it.
            stream.write_all(&hello[..hello.len() / (1 + number % 2)]).ok();
            stream
        })
        .collect();
    for _ in 0..10 {
        assert_serves(pushline.address);
        let mut probe = TlsClient::connect(pushline.address, &ordinary());
        assert_eq!(probe.ask("GET", "/-/healthy", &[], b"").unwrap().0, 200);
    }
    let evicted = outcomes(pushline.address, &ordinary(), "evicted");
    assert!(evicted > 80, "{evicted}");
    drop(hanging);
}

#[test]
fn a_handshake_in_hand_does_not_hold_up_the_end() {
    let (mut pushline, _) =
        Pushline::start(&speaking("server", "[output]\ndrain_timeout = \"600s\"\n"));
    let mut hanging = TcpStream::connect(pushline.address).unwrap();
    hanging.write_all(&hello()[..20]).unwrap();
    assert_serves(pushline.address);
    pushline.signal("TERM");
    assert!(pushline.wait().success());
}

#[test]
fn a_unix_socket_stays_plain() {
    let folder = folder();
    let path = folder.join("socket");
    let config = folder.join("pushline.toml");
    let listen = format!("[server]\nlisten = [\"unix:{}\"]\n", path.display());
    std::fs::write(&config, listen + &speaking("server", "")).unwrap();
    let mut child = command()
        .arg("--config")
        .arg(&config)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let log = Collected::from(child.stderr.take().unwrap());
    log.wait_for_text("msg=writing");
    let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
    stream.write_all(b"GET /-/healthy HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::remove_dir_all(folder).unwrap();
}

/// A pair of files that a test may replace.
pub(crate) struct Pair {
    folder: PathBuf,
}

impl Pair {
    pub(crate) fn of(name: &str) -> Pair {
        let pair = Pair { folder: folder() };
        pair.become_as(name);
        pair
    }

    pub(crate) fn become_as(&self, name: &str) {
        for kind in ["pem", "key"] {
            std::fs::copy(data(&format!("{name}.{kind}")), self.path(kind)).unwrap();
        }
    }

    pub(crate) fn path(&self, kind: &str) -> PathBuf {
        self.folder.join(format!("pair.{kind}"))
    }

    pub(crate) fn config(&self) -> String {
        let (cert, key) = (self.path("pem"), self.path("key"));
        format!("[server.tls]\ncert = \"{}\"\nkey = \"{}\"\n", cert.display(), key.display())
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

/// The certificate that a new connection is shown.
fn shown(address: SocketAddr) -> Vec<u8> {
    let mut client = TlsClient::connect(address, &ordinary());
    client.push().unwrap();
    client.stream.conn.peer_certificates().unwrap()[0].to_vec()
}

fn certificate(name: &str) -> Vec<u8> {
    CertificateDer::from_pem_file(data(&format!("{name}.pem"))).unwrap().to_vec()
}

#[test]
fn certificates_are_swapped_under_load_and_no_push_fails() {
    let pair = Pair::of("server");
    let (pushline, _) = Pushline::start(&pair.config());
    let (address, is_over) = (pushline.address, &AtomicBool::new(false));
    let (kept, new) = (&AtomicU64::new(0), &AtomicU64::new(0));
    thread::scope(|scope| {
        for lane in 0..4 {
            scope.spawn(move || {
                let config = trusting("ca.pem", None, if lane % 2 == 0 { &TLS12 } else { &TLS13 });
                let mut client = TlsClient::connect(address, &config);
                while !is_over.load(Ordering::SeqCst) {
                    assert_eq!(client.push().unwrap(), 200, "on a kept connection");
                    kept.fetch_add(1, Ordering::SeqCst);
                    assert_eq!(push_with(address, &config).unwrap(), 200, "on a new one");
                    new.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for name in ["rsa", "ed25519", "chain", "server"].repeat(3) {
            pair.become_as(name);
            let told = pushline.hang_up("configuration and credentials read again");
            assert!(told.contains("certificate=changed"), "{told}");
            assert_eq!(shown(address), certificate(name), "{name}");
            let enough = new.load(Ordering::SeqCst) + 8;
            let deadline = Instant::now() + PATIENCE;
            while new.load(Ordering::SeqCst) < enough {
                assert!(Instant::now() < deadline, "no progress");
                thread::sleep(Duration::from_millis(1));
            }
        }
        is_over.store(true, Ordering::SeqCst);
    });
    println!(
        "{} pushes on kept connections, {} on new ones, none failed",
        kept.load(Ordering::SeqCst),
        new.load(Ordering::SeqCst)
    );
}

#[test]
fn a_pair_that_cannot_be_used_keeps_the_old_one_and_says_so() {
    let pair = Pair::of("server");
    let (pushline, _) = Pushline::start(&pair.config());
    let address = pushline.address;
    let told = pushline.hang_up("configuration and credentials read again");
    assert!(told.contains("certificate=unchanged"), "{told}");
    type Spoil = fn(&Pair);
    let cases: [(Spoil, &str); 5] = [
        (
            |pair| drop(std::fs::copy(data("rsa.pem"), pair.path("pem"))),
            "is not the key of the first certificate in ",
        ),
        (|pair| pair.become_as("expired"), "ended on 2021-01-01; a client would refuse it"),
        (
            |pair| std::fs::write(pair.path("pem"), "nothing").unwrap(),
            "has no certificate, expected PEM",
        ),
        (|pair| std::fs::write(pair.path("key"), "nothing").unwrap(), "is no PEM: "),
        (|pair| std::fs::remove_file(pair.path("key")).unwrap(), "cannot be read: "),
    ];
    for (spoil, want) in cases {
        pair.become_as("server");
        spoil(&pair);
        let told = pushline.hang_up("the configuration stays as it was");
        assert!(told.contains(want), "{want}: {told}");
        assert_eq!(shown(address), certificate("server"));
    }
    pair.become_as("rsa");
    pushline.hang_up("certificate=changed");
    assert_eq!(shown(address), certificate("rsa"));
}

#[test]
fn a_new_authority_ends_the_sessions_of_the_old_one() {
    let (pushline, _) = Pushline::start(&asking_clients(""));
    let known = trusting("ca.pem", Some("client"), &TLS13);
    let mut kept = TlsClient::connect(pushline.address, &known);
    assert_eq!(kept.push().unwrap(), 200);
    let other = format!("client_ca = \"{}\"\n", data("other.pem").display());
    std::fs::write(pushline.config(), speaking("server", &other)).unwrap();
    pushline.hang_up("certificate=changed");
    assert!(push_with(pushline.address, &known).is_err(), "its ticket is worth nothing any more");
    let stranger = trusting("ca.pem", Some("stranger"), &TLS13);
    assert_eq!(push_with(pushline.address, &stranger).unwrap(), 200);
    assert_eq!(kept.push().unwrap(), 200, "a connection goes on as it began");
}

pub(crate) fn check(toml: &str) -> Output {
    let folder = folder();
    let config = folder.join("pushline.toml");
    std::fs::write(&config, toml).unwrap();
    let output = command().arg("--check").arg("--config").arg(&config).output().unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    output
}

#[test]
fn a_check_refuses_what_the_start_could_not_speak_with() {
    let line = |key: &str, file: &str| format!("server.tls.{key} = \"{}\"\n", data(file).display());
    for (toml, key, want) in [
        (speaking("expired", ""), "server.tls.cert: ", "ended on 2021-01-01"),
        (
            line("cert", "server.pem") + &line("key", "client.key"),
            "server.tls.key: ",
            "is not the key of the first certificate in ",
        ),
        (
            line("cert", "server.key") + &line("key", "server.key"),
            "server.tls.cert: ",
            "has no certificate, expected PEM",
        ),
        (line("cert", "server.pem") + &line("key", "server.pem"), "server.tls.key: ", "is no PEM"),
        (line("cert", "server.pem") + &line("key", "none"), "server.tls.key: ", "cannot be read: "),
        (
            line("cert", "server.pem") + "server.tls.key = \"/dev/null\"\n",
            "server.tls.key: ",
            "it is not a regular file",
        ),
        (line("cert", "server.pem"), "server.tls.cert and ", "are of use only together"),
        (line("key", "server.key"), "server.tls.cert and ", "are of use only together"),
        (
            line("client_ca", "ca.pem"),
            "server.tls.cert and ",
            "server.tls.client_ca only with them",
        ),
        (
            speaking("server", &format!("client_ca = \"{}\"\n", data("ca.pem/x").display())),
            "server.tls.client_ca: ",
            "cannot be read: ",
        ),
    ] {
        let output = check(&toml);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{toml}{told}");
        let start = format!("pushline: {key}");
        assert!(told.starts_with(&start) && told.contains(want), "{toml}{told}");
    }
    for toml in [speaking("rsa", ""), asking_clients("")] {
        let output = check(&toml);
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{toml}");
    }
    let output =
        check(&speaking("server", &format!("client_ca = \"{}\"\n", data("expired.pem").display())));
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        told,
        "pushline: server.tls.client_ca: a certificate in it has ended on 2021-01-01\n"
    );
}
