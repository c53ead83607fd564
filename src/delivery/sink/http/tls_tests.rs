//! The client against a store that speaks TLS, with the certificates of `tests/data/tls`.
#![cfg(feature = "tls")]

use super::client::Client;
use super::options::{HttpOptions, TlsFiles};
use super::url::StoreUrl;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls").join(name)
}

enum Clients {
    All,
    WithCertificate,
}

fn server(clients: Clients) -> ServerConfig {
    let chain = CertificateDer::pem_file_iter(data("server.pem")).unwrap().map(Result::unwrap);
    let key = PrivateKeyDer::from_pem_file(data("server.key")).unwrap();
    let provider = crate::tls::provider();
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let builder = match clients {
        Clients::All => builder.with_no_client_auth(),
        Clients::WithCertificate => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(data("ca.pem")).unwrap()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    builder.with_single_cert(chain.collect(), key).unwrap()
}

/// Starts a store; returns its port. Each request is answered with the status, which comes before
/// the body was read where the body is large.
fn store(clients: Clients, status: u16) -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = Arc::new(server(clients));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let stream = stream.unwrap();
            // Else the answer waits for what was sent before it, and a reset overtakes it.
            stream.set_nodelay(true).unwrap();
            let mut stream = StreamOwned::new(connection, stream);
            // OK because a client that does not trust us goes away.
            while answer(&mut stream, status).is_ok() {}
        }
    });
    port
}

fn answer(stream: &mut impl ReadWrite, status: u16) -> io::Result<()> {
    const UNREAD_MIN: usize = 1 << 20;
    let mut request = Vec::new();
    let end = loop {
        if let Some(end) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end + 4;
        }
        read_more(stream, &mut request)?;
    };
    let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.unwrap().parse().unwrap();
    while length < UNREAD_MIN && request.len() < end + length {
        read_more(stream, &mut request)?;
    }
    write!(stream, "HTTP/1.1 {status} Said\r\nContent-Length: 0\r\n\r\n")?;
    stream.flush()?;
    if length < UNREAD_MIN { Ok(()) } else { Err(io::Error::other("the rest is not read")) }
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

fn read_more(stream: &mut impl Read, request: &mut Vec<u8>) -> io::Result<()> {
    let mut chunk = [0; 4096];
    let count = stream.read(&mut chunk)?;
    request.extend_from_slice(&chunk[..count]);
    if count == 0 { Err(io::Error::from(io::ErrorKind::UnexpectedEof)) } else { Ok(()) }
}

fn client(host: &str, port: u16, tls: TlsFiles) -> Client {
    let url = StoreUrl::read(&format!("https://{host}:{port}/write")).unwrap();
    let options = HttpOptions { timeout: Duration::from_secs(20), tls, ..HttpOptions::default() };
    Client::open(&url, &options).unwrap()
}

fn trusting(ca: &str) -> TlsFiles {
    TlsFiles { ca: Some(data(ca)), ..TlsFiles::default() }
}

#[test]
fn a_store_whose_certificate_is_trusted_takes_lines() {
    let port = store(Clients::All, 204);
    for host in ["localhost", "127.0.0.1"] {
        let client = client(host, port, trusting("ca.pem"));
        for _ in 0..3 {
            assert_eq!(client.post(b"a b=1 1\n", None).unwrap().status, 204);
        }
    }
}

#[test]
fn a_certificate_of_somebody_else_or_of_another_name_is_refused() {
    let port = store(Clients::All, 204);
    for (host, ca) in [("localhost", "other.pem"), ("127.0.0.2", "ca.pem")] {
        let error = client(host, port, trusting(ca)).post(b"a b=1 1\n", None).unwrap_err();
        assert!(error.to_string().contains("certificate"), "{error}");
    }
}

#[test]
fn a_store_that_asks_for_a_certificate_gets_ours() {
    let port = store(Clients::WithCertificate, 204);
    let (cert, key) = (Some(data("client.pem")), Some(data("client.key")));
    let ours = TlsFiles { cert, key, ..trusting("ca.pem") };
    let client = |tls| client("localhost", port, tls).post(b"a b=1 1\n", None);
    assert_eq!(client(ours).unwrap().status, 204);
    assert!(client(trusting("ca.pem")).is_err());
}

#[test]
fn an_answer_that_comes_before_the_body_was_read_is_heard_through_tls() {
    let port = store(Clients::All, 413);
    let client = client("localhost", port, trusting("ca.pem"));
    assert_eq!(client.post(&vec![b'x'; 32 << 20], None).unwrap().status, 413);
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let url = StoreUrl::read("https://localhost/write").unwrap();
    let open = |tls| {
        let options = HttpOptions { tls, ..HttpOptions::default() };
        Client::open(&url, &options).unwrap_err().to_string()
    };
    let missing = TlsFiles { ca: Some("/nowhere/ca.pem".into()), ..TlsFiles::default() };
    assert!(open(missing).starts_with("output.tls.ca: /nowhere/ca.pem: cannot be read: "));
    let key = open(TlsFiles { ca: Some(data("client.key")), ..TlsFiles::default() });
    let want = "has no certificate, expected PEM";
    assert_eq!(key, format!("output.tls.ca: {}: {want}", data("client.key").display()));
    let half = open(TlsFiles { cert: Some(data("client.pem")), ..trusting("ca.pem") });
    assert_eq!(half, "output.tls.cert and output.tls.key are of use only together");
    let (cert, key) = (Some(data("client.pem")), Some(data("ca.pem")));
    let no_key = open(TlsFiles { cert, key, ..trusting("ca.pem") });
    assert!(
        no_key.starts_with(&format!("output.tls.key: {}: is no PEM: ", data("ca.pem").display())),
        "{no_key}"
    );
    // What ureq would not survive.
    let other = (Some(data("client.pem")), Some(data("server.key")));
    let other = open(TlsFiles { cert: other.0, key: other.1, ..trusting("ca.pem") });
    let (cert, key) = (data("client.pem"), data("server.key"));
    let want = "is not the key of the first certificate in";
    assert_eq!(other, format!("output.tls.key: {}: {want} {}", key.display(), cert.display()));
    let junk = std::env::temp_dir().join(format!("pushline-junk-{}.pem", std::process::id()));
    std::fs::write(&junk, "-----BEGIN CERTIFICATE-----\nanVuaw==\n-----END CERTIFICATE-----\n")
        .unwrap();
    let ca = open(TlsFiles { ca: Some(junk.clone()), ..TlsFiles::default() });
    let (cert, key) = (Some(junk.clone()), Some(data("client.key")));
    let own = open(TlsFiles { cert, key, ..trusting("ca.pem") });
    for (key, error) in [("output.tls.ca", ca), ("output.tls.cert", own)] {
        let want = format!("{key}: {}: cannot be used: ", junk.display());
        assert!(error.starts_with(&want), "{error}");
    }
    std::fs::remove_file(&junk).unwrap();
}
