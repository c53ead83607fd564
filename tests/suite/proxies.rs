//! A store that is reached through a proxy, as the variables of curl name it, and one whose
//! certificate the system trusts. The proxy tunnels for whoever asks (`CONNECT`, RFC 9110, section
//! 9.3.6), wherever that is said to go to: to the store of the test.

use crate::http::push;
use crate::process::{Pushline, command};
use crate::store::{Act, Store};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread;

/// A proxy, and the heads of what it was asked.
struct Proxy {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn to(store: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&heads);
        thread::spawn(move || {
            for client in listener.incoming() {
                let mut client = client.unwrap();
                let head = read_head(&mut client);
                noted.lock().unwrap().push(head);
                client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
                let server = TcpStream::connect(store).unwrap();
                let (to, from) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                thread::spawn(move || pass_on(from, to));
                thread::spawn(move || pass_on(server, client));
            }
        });
        Proxy { address, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    // OK because the end of one direction, however it comes, is the end of the other.
    io::copy(&mut from, &mut to).ok();
    to.shutdown(Shutdown::Both).ok();
}

/// Byte by byte: what follows the head is not the proxy's.
fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

fn address(store: &Store) -> SocketAddr {
    store.url("").strip_prefix("http://").unwrap().parse().unwrap()
}

fn spawn(target: &str, variables: &[(&str, &str)]) -> Pushline {
    let mut command = command();
    for name in ["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy"] {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied());
    let toml = format!("output.target = \"{target}\"\noutput.ack_timeout = \"20s\"\n");
    Pushline::spawn_with(command, &toml, Stdio::null())
}

#[test]
fn a_store_is_reached_through_the_proxy_of_the_environment() {
    let store = Store::start(|_| Act::status(204));
    let proxy = Proxy::to(address(&store));
    let variable = format!("http://user:pass@{}", proxy.address);
    // Only the proxy can know that name.
    let pushline = spawn("http://store.invalid/write", &[("http_proxy", &variable)]);
    assert_eq!(push(pushline.address, "/metrics/job/x", "a_b 1\n").status, 200);
    assert_eq!(push(pushline.address, "/metrics/job/x", "a_b 2\n").status, 200);
    assert_eq!(store.taken().len(), 2);
    let heads = proxy.heads();
    assert_eq!(heads.len(), 1, "the tunnel is kept: {heads:?}");
    assert!(heads[0].starts_with("CONNECT store.invalid:80 HTTP/1.1\r\n"), "{}", heads[0]);
    assert!(heads[0].contains("\r\nProxy-Authorization: Basic dXNlcjpwYXNz\r\n"), "{}", heads[0]);
    assert!(store.requests()[0].head.contains("host: store.invalid"), "as without a proxy");
}

#[test]
fn a_store_that_no_proxy_names_is_reached_without_one() {
    let store = Store::start(|_| Act::status(204));
    let proxy = Proxy::to(address(&store));
    let variable = format!("http://{}", proxy.address);
    let variables = [("http_proxy", &*variable), ("no_proxy", "127.0.0.1")];
    let pushline = spawn(&store.url("/write"), &variables);
    assert_eq!(push(pushline.address, "/metrics/job/x", "a_b 1\n").status, 200);
    assert!(proxy.heads().is_empty());
}

#[cfg(feature = "tls")]
mod tls {
    use super::*;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{ServerConfig, ServerConnection, StreamOwned};

    fn data(name: &str) -> String {
        format!("{}/tests/data/tls/{name}", env!("CARGO_MANIFEST_DIR"))
    }

    /// A store that speaks TLS and takes everything, on a port of its own.
    fn store() -> SocketAddr {
        let chain = CertificateDer::pem_file_iter(data("server.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(data("server.key")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let chain = chain.map(Result::unwrap).collect();
        let config = Arc::new(builder.with_single_cert(chain, key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = StreamOwned::new(connection, stream.unwrap());
                thread::spawn(move || while answer(&mut stream).is_some() {});
            }
        });
        address
    }

    /// Reads one request and answers it; nothing once the client has gone.
    fn answer(stream: &mut (impl Read + Write)) -> Option<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).ok()?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut body).ok()?;
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").ok()
    }

    #[test]
    fn a_certificate_that_the_system_trusts_is_trusted_through_a_proxy_too() {
        let (store, ca) = (store(), data("ca.pem"));
        let target = format!("https://localhost:{}/write", store.port());
        let pushline = spawn(&target, &[("SSL_CERT_FILE", &ca)]);
        assert_eq!(push(pushline.address, "/metrics/job/x", "a_b 1\n").status, 200);
        let proxy = Proxy::to(store);
        let variable = format!("http://{}", proxy.address);
        let variables = [("SSL_CERT_FILE", &*ca), ("https_proxy", &variable)];
        let pushline = spawn("https://localhost/write", &variables);
        assert_eq!(push(pushline.address, "/metrics/job/x", "a_b 1\n").status, 200);
        let head = proxy.heads().remove(0);
        assert!(head.starts_with("CONNECT localhost:443 HTTP/1.1\r\n"), "{head}");
    }

    #[test]
    fn a_certificate_that_the_system_does_not_trust_is_not() {
        let (target, ca) =
            (format!("https://localhost:{}/write", store().port()), data("other.pem"));
        let pushline = spawn(&target, &[("SSL_CERT_FILE", &ca)]);
        let address = pushline.address;
        thread::spawn(move || push(address, "/metrics/job/x", "a_b 1\n"));
        pushline.log.wait_for_text("invalid peer certificate");
    }
}

#[cfg(not(feature = "tls"))]
#[test]
fn without_the_feature_a_store_behind_tls_is_refused_with_the_reason() {
    let folder = crate::process::folder();
    let config = folder.join("pushline.toml");
    std::fs::write(&config, "output.target = \"https://store/write\"\n").unwrap();
    let output = command().arg("--check").arg("--config").arg(&config).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("built without TLS"), "{message}");
    std::fs::remove_dir_all(folder).unwrap();
}
