//! One POST at a time to a store's write API, over a connection that is kept (SPEC 3.2).
//!
//! The client is `ureq`, over a [`StoreConnection`] of our own, which hears an answer that comes
//! before the body was sent. Addresses are looked up again when a request failed or a minute has
//! passed, not for each request, and redirects are not followed. One timeout bounds everything from
//! the name of the host to the last byte of the answer.
//!
//! ureq's transports are not a stable interface (`unversioned`), so Cargo.toml holds it to its
//! minor version.

use super::body_in_hand::{BodyInHand, CurrentConnection, SharedConnection};
use super::connection::StoreConnection;
use super::credentials::{self, CredentialError};
use super::options::HttpOptions;
use super::proxy;
use super::retry_after;
use super::url::StoreUrl;
use super::verdict::StoreAnswer;
use crate::limits::STORE_ANSWER_BYTES_MAX;
use std::fmt;
use std::io::{self, Read as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectProxyConnector, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout,
    Transport,
};

/// How long looked-up addresses are used, unless a request fails before.
const ADDRESSES_AGE_MAX: Duration = Duration::from_secs(60);
/// How long a connection may be idle: stores close theirs after a minute or more.
const IDLE_AGE_MAX: Duration = Duration::from_secs(45);
/// What is written to a connection at once, in bytes, where a body is not sent as it is.
const OUTPUT_BYTES: usize = 128 * 1024;
/// What is read from a connection at once, in bytes.
const INPUT_BYTES: usize = 16 * 1024;

/// Why there is no client.
#[derive(Debug)]
pub(crate) enum ClientError {
    /// The credential cannot be used.
    Credential(CredentialError),
    /// A certificate or its key cannot be used.
    #[cfg(feature = "tls")]
    Certificate(crate::tls::CertificateError),
    /// A certificate of our own without its key, or the other way round.
    #[cfg(feature = "tls")]
    HalfACertificate,
    /// The proxy that the environment names is none that can be used.
    Proxy,
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Credential(error) => write!(f, "output.http.auth_file: {error}"),
            #[cfg(feature = "tls")]
            ClientError::Certificate(error) => error.fmt(f),
            #[cfg(feature = "tls")]
            ClientError::HalfACertificate => {
                write!(f, "output.tls.cert and output.tls.key are of use only together")
            }
            // Its value may have a password.
            ClientError::Proxy => {
                write!(f, "the proxy that the environment names must be http://host:port")
            }
        }
    }
}

impl std::error::Error for ClientError {}

/// A client of one store.
#[derive(Debug)]
pub(crate) struct Client {
    agent: ureq::Agent,
    url: StoreUrl,
    authorization: Option<Secret>,
    addresses: KnownAddresses,
    connection: CurrentConnection,
    /// Nothing is between the bytes of a request and its connection: no TLS, no proxy.
    is_direct: bool,
    timeout: Duration,
}

/// The value of a header that no log may have.
struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl Client {
    /// Reads credentials and certificates; connects with the first request.
    ///
    /// # Errors
    /// One of them cannot be used.
    pub(crate) fn open(url: &StoreUrl, options: &HttpOptions) -> Result<Client, ClientError> {
        let HttpOptions { auth_file, timeout, .. } = options;
        let authorization = auth_file.as_deref().map(credentials::read).transpose();
        let authorization = authorization.map_err(ClientError::Credential)?.map(Secret);
        let variable = |name: &str| std::env::var(name).ok();
        let proxy = proxy::find(url.is_tls(), url.host(), variable)
            .map(|found| ureq::Proxy::new(&found).map_err(|_| ClientError::Proxy))
            .transpose()?;
        let is_http = |proxy: &ureq::Proxy| proxy.protocol() == ureq::ProxyProtocol::Http;
        if proxy.as_ref().is_some_and(|proxy| !is_http(proxy)) {
            return Err(ClientError::Proxy);
        }
        let is_direct = !url.is_tls() && proxy.is_none();
        let config = Config::builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("pushline/", env!("CARGO_PKG_VERSION")))
            .proxy(proxy)
            .timeout_global(Some(*timeout))
            .max_idle_connections(1)
            .max_idle_age(IDLE_AGE_MAX)
            .input_buffer_size(INPUT_BYTES)
            .output_buffer_size(OUTPUT_BYTES);
        let addresses = KnownAddresses::default();
        let connection = CurrentConnection::default();
        let parts = (addresses.clone(), StoreConnector(connection.clone()));
        let agent = agent((url, options), config, parts)?;
        let (url, timeout) = (url.clone(), *timeout);
        Ok(Client { agent, url, authorization, addresses, connection, is_direct, timeout })
    }

    /// Sends a body of line protocol; `coding` is its content coding.
    ///
    /// # Errors
    /// There is no answer, or not all of it: the request may have been taken all the same.
    pub(super) fn post(&self, body: &[u8], coding: Option<&str>) -> io::Result<StoreAnswer> {
        let answer = self.try_post(body, coding);
        if answer.is_err() {
            self.addresses.forget();
        }
        answer.map_err(|error| readable(error, self.timeout))
    }

    fn try_post(&self, body: &[u8], coding: Option<&str>) -> Result<StoreAnswer, ureq::Error> {
        self.connection.begin();
        let mut request = self.agent.post(self.url.as_str());
        request = request.header("Content-Type", "text/plain; charset=utf-8");
        if let Some(coding) = coding {
            request = request.header("Content-Encoding", coding);
        }
        if let Some(Secret(authorization)) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let mut response = if self.is_direct {
            let mut reader = BodyInHand::new(body, &self.connection, self.timeout);
            request = request.header("Content-Length", body.len());
            request.send(ureq::SendBody::from_reader(&mut reader))?
        } else {
            request.send(body)?
        };
        let status = response.status().as_u16();
        let retry_after = response.headers().get("retry-after");
        let retry_after = retry_after
            .and_then(|value| retry_after::pause(value.to_str().ok()?, SystemTime::now()));
        let location = response.headers().get("location").map(|it| without_query(it.as_bytes()));
        let mut body = Vec::new();
        let limit = u64::try_from(STORE_ANSWER_BYTES_MAX).unwrap_or(u64::MAX);
        response.body_mut().as_reader().take(limit).read_to_end(&mut body)?;
        if status / 100 == 2 && self.connection.was_cut() {
            // What it did not read it cannot have taken.
            return Err(io::Error::other(format!("{status} before the whole body was sent")).into());
        }
        Ok(StoreAnswer { status, retry_after, location, body })
    }
}

/// A URL up to its query, which may have the secrets of ours.
fn without_query(url: &[u8]) -> Vec<u8> {
    url.iter().copied().take_while(|byte| !matches!(byte, b'?' | b'#')).collect()
}

/// What went wrong, in words for the operator.
fn readable(error: ureq::Error, timeout: Duration) -> io::Error {
    let kind = match &error {
        ureq::Error::Io(error) => error.kind(),
        ureq::Error::Timeout(_) => io::ErrorKind::TimedOut,
        _ => io::ErrorKind::Other,
    };
    let text = match error {
        _ if kind == io::ErrorKind::TimedOut => format!("no answer within {timeout:?}"),
        ureq::Error::Io(error) if kind == io::ErrorKind::UnexpectedEof => {
            format!("the store closed the connection without a whole answer: {error}")
        }
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::HostNotFound => "the host has no address".to_owned(),
        ureq::Error::Protocol(error) => format!("the answer is no HTTP: {error}"),
        other => other.to_string(),
    };
    // Not TimedOut, which for a descriptor means that nothing is lost.
    let kind = if kind == io::ErrorKind::TimedOut { io::ErrorKind::Other } else { kind };
    io::Error::new(kind, text)
}

type ConfigBuilder = ureq::config::ConfigBuilder<ureq::typestate::AgentScope>;

#[cfg(feature = "tls")]
fn agent(
    (url, options): (&StoreUrl, &HttpOptions),
    config: ConfigBuilder,
    (addresses, connector): (KnownAddresses, StoreConnector),
) -> Result<ureq::Agent, ClientError> {
    use crate::tls::{ClientIdentity, TlsFile, TlsKey};
    use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig, TlsProvider};
    let chain = ().chain(ConnectProxyConnector::default()).chain(connector);
    if !url.is_tls() {
        return Ok(ureq::Agent::with_parts(config.build(), chain, addresses));
    }
    let super::options::TlsFiles { ca, cert, key } = &options.tls;
    let owned = |der: &Vec<u8>| Certificate::from_der(der).to_owned();
    let ca = ca.as_deref().map(|path| TlsFile { key: TlsKey::OutputCa, path });
    let trusted = crate::tls::trusted(ca).map_err(ClientError::Certificate)?;
    let trusted: Vec<_> = trusted.iter().map(owned).collect();
    let mut tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(crate::tls::provider())
        .root_certs(RootCerts::new_with_certs(&trusted));
    if cert.is_some() != key.is_some() {
        return Err(ClientError::HalfACertificate);
    }
    if let (Some(cert), Some(key)) = (cert, key) {
        // Checked there: ureq trusts that they fit.
        let cert = TlsFile { key: TlsKey::OutputCert, path: cert };
        let key = TlsFile { key: TlsKey::OutputKey, path: key };
        let own = ClientIdentity::read(cert, key).map_err(ClientError::Certificate)?;
        let chain: Vec<_> = own.chain.iter().map(owned).collect();
        let key = PrivateKey::from_pem(&own.key_pem);
        tls = tls.client_cert(key.ok().map(|key| ClientCert::new_with_certs(&chain, key)));
    }
    let config = config.tls_config(tls.build()).build();
    let chain = chain.chain(ureq::unversioned::transport::RustlsConnector::default());
    Ok(ureq::Agent::with_parts(config, chain, addresses))
}

#[cfg(not(feature = "tls"))]
fn agent(
    _: (&StoreUrl, &HttpOptions),
    config: ConfigBuilder,
    (addresses, connector): (KnownAddresses, StoreConnector),
) -> Result<ureq::Agent, ClientError> {
    let chain = ().chain(ConnectProxyConnector::default()).chain(connector);
    Ok(ureq::Agent::with_parts(config.build(), chain, addresses))
}

/// Addresses that were looked up.
#[derive(Debug)]
struct LookedUp {
    uri: Uri,
    at: Instant,
    addresses: ResolvedSocketAddrs,
}

/// Looks addresses up, and keeps them: ureq asks before each request, also where it needs none.
#[derive(Clone, Debug, Default)]
struct KnownAddresses {
    known: Arc<Mutex<Option<LookedUp>>>,
}

impl KnownAddresses {
    fn forget(&self) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Resolver for KnownAddresses {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        if let (Ok(address), Some(scheme)) = (host.parse::<IpAddr>(), uri.scheme_str()) {
            let default = if scheme == "https" { 443 } else { 80 };
            let mut addresses = self.empty();
            addresses.push(SocketAddr::new(address, uri.port_u16().unwrap_or(default)));
            return Ok(addresses);
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*known
            && known.uri == *uri
            && known.at.elapsed() < ADDRESSES_AGE_MAX
        {
            return Ok(known.addresses.clone());
        }
        let addresses = DefaultResolver::default().resolve(uri, config, timeout)?;
        let (uri, at) = (uri.clone(), Instant::now());
        *known = Some(LookedUp { uri, at, addresses: addresses.clone() });
        Ok(addresses)
    }
}

/// Connects by a [`StoreConnection`].
#[derive(Debug)]
struct StoreConnector(CurrentConnection);

impl<In: Transport> Connector<In> for StoreConnector {
    type Out = Either<In, StoreTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        // A proxy has connected already.
        if let Some(transport) = chained {
            return Ok(Some(Either::A(transport)));
        }
        let connection = StoreConnection::connect(&details.addrs, *details.timeout.after)?;
        let connection = self.0.replace(connection);
        let buffers = LazyBuffers::new(INPUT_BYTES, OUTPUT_BYTES);
        Ok(Some(Either::B(StoreTransport { connection, buffers })))
    }
}

/// A [`StoreConnection`] as ureq drives it.
#[derive(Debug)]
struct StoreTransport {
    connection: SharedConnection,
    buffers: LazyBuffers,
}

fn deadline(timeout: NextTimeout) -> Instant {
    let now = Instant::now();
    // OK because each request has a timeout: without one, this would be a day.
    now.checked_add(*timeout.after).unwrap_or(now + Duration::from_secs(86_400))
}

fn transport_error(error: io::Error, timeout: NextTimeout) -> ureq::Error {
    match error.kind() {
        io::ErrorKind::TimedOut => ureq::Error::Timeout(timeout.reason),
        _ => ureq::Error::Io(error),
    }
}

impl Transport for StoreTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        let sent = self.connection.send(output, deadline(timeout));
        sent.map_err(|error| transport_error(error, timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let input = self.buffers.input_append_buf();
        let received = self.connection.receive(input, deadline(timeout));
        let count = received.map_err(|error| transport_error(error, timeout))?;
        self.buffers.input_appended(count);
        Ok(count > 0)
    }

    fn is_open(&mut self) -> bool {
        self.connection.is_open()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::RETRY_AFTER_MAX;
    use crate::testing::store::{Act, Early, Store, StoreRequest};
    use std::net::TcpListener;
    use std::os::unix::fs::PermissionsExt;

    fn client(url: &str, timeout: Duration) -> Client {
        let url = StoreUrl::read(url).unwrap();
        Client::open(&url, &HttpOptions { timeout, ..HttpOptions::default() }).unwrap()
    }

    /// What a client says of a store that does this with each request.
    fn outcome(act: Act) -> io::Result<StoreAnswer> {
        let store = Store::start(move |_| act.clone());
        let client = client(&store.url("/write"), Duration::from_millis(300));
        client.post(b"a b=1 1\n", None)
    }

    #[test]
    fn a_request_says_what_it_carries() {
        let folder = std::env::temp_dir();
        let path = folder.join(format!("pushline-client-auth-{}", std::process::id()));
        std::fs::write(&path, "token s3cret\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let store = Store::start(|_| Act::status(204));
        let url = StoreUrl::read(&store.url("/api/v2/write?bucket=b%20c&precision=ns")).unwrap();
        let (timeout, auth_file) = (Duration::from_secs(10), Some(path.clone()));
        let options = HttpOptions { timeout, auth_file, ..HttpOptions::default() };
        let client = Client::open(&url, &options).unwrap();
        assert!(!format!("{client:?}").contains("s3cret"));
        assert_eq!(client.post(b"a b=1 1\n", Some("gzip")).unwrap().status, 204);
        let StoreRequest { head, body, .. } = store.requests().remove(0);
        assert_eq!(body, b"a b=1 1\n");
        let head = head.to_ascii_lowercase();
        assert!(head.starts_with("post /api/v2/write?bucket=b%20c&precision=ns http/1.1\r\n"));
        for line in [
            "content-type: text/plain; charset=utf-8",
            "content-encoding: gzip",
            "content-length: 8",
            "authorization: token s3cret",
            concat!("user-agent: pushline/", env!("CARGO_PKG_VERSION")),
        ] {
            assert!(head.lines().any(|found| found == line), "{line}: {head}");
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn one_connection_serves_many_requests() {
        let store = Store::start(|_| Act::answer(200, "", "taken"));
        let client = client(&store.url("/"), Duration::from_secs(10));
        for _ in 0..20 {
            assert_eq!(client.post(b"a b=1 1\n", None).unwrap().body, b"taken");
        }
        assert_eq!((store.requests().len(), store.connections()), (20, 1));
    }

    #[test]
    fn an_answer_is_read_with_what_it_asks_for_and_up_to_a_bound() {
        let answer = outcome(Act::answer(429, "Retry-After: 7\r\n", "slow down")).unwrap();
        assert_eq!((answer.status, answer.retry_after), (429, Some(Duration::from_secs(7))));
        assert_eq!(answer.body, b"slow down");
        let answer = outcome(Act::answer(503, "Retry-After: 86400\r\n", "")).unwrap();
        assert_eq!(answer.retry_after, Some(RETRY_AFTER_MAX));
        let date = "Retry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n";
        assert_eq!(outcome(Act::answer(503, date, "")).unwrap().retry_after, Some(Duration::ZERO));
        let date = "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n";
        assert_eq!(outcome(Act::answer(503, date, "")).unwrap().retry_after, Some(RETRY_AFTER_MAX));
        let answer = outcome(Act::answer(400, "", &"x".repeat(1_000_000))).unwrap();
        assert_eq!(answer.body.len(), STORE_ANSWER_BYTES_MAX);
        let chunked = Act::Raw(
            "HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbad\r\n0\r\n\r\n"
                .to_owned(),
        );
        assert_eq!(outcome(chunked).unwrap().body, b"bad");
        let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n".to_owned();
        assert_eq!(outcome(Act::Raw(interim)).unwrap().status, 204);
    }

    #[test]
    fn a_redirect_is_an_answer_like_any_other() {
        let location = "Location: http://127.0.0.1:1/x?u=a&p=s3cret\r\n";
        let answer = outcome(Act::answer(307, location, "")).unwrap();
        assert_eq!(answer.status, 307);
        assert_eq!(answer.location.as_deref(), Some(&b"http://127.0.0.1:1/x"[..]));
    }

    #[test]
    fn every_way_to_give_no_whole_answer_is_an_error() {
        for (act, want) in [
            (Act::Hang, "no answer within 300ms"),
            (Act::TakeAndClose, ""),
            (Act::Raw(String::new()), ""),
            (Act::Raw("HTTP/1.1 20".to_owned()), ""),
            (Act::Raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\ncut".to_owned()), ""),
            (Act::Raw("SSH-2.0-OpenSSH_9.2\r\n\r\n".to_owned()), "the answer is no HTTP: "),
        ] {
            let error = outcome(act.clone()).unwrap_err();
            assert!(error.to_string().starts_with(want), "{act:?}: {error}");
            assert_ne!(error.kind(), io::ErrorKind::TimedOut, "{act:?}");
        }
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = client(&format!("http://{closed}/"), Duration::from_secs(10));
        let error = error.post(b"a b=1 1\n", None).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn an_answer_of_success_to_half_a_body_is_none() {
        let store = Store::start(|_| Act::status(204));
        store.play_early(Early::Answer(204));
        let client = client(&store.url("/write"), Duration::from_secs(20));
        let error = client.post(&vec![b'x'; 64 << 20], None).unwrap_err().to_string();
        assert!(error.contains("204 before the whole body was sent"), "{error}");
        store.play_early(Early::Answer(401));
        assert_eq!(client.post(&vec![b'x'; 64 << 20], None).unwrap().status, 401);
    }

    #[test]
    fn an_answer_that_comes_before_the_body_was_read_is_the_answer() {
        let store = Store::start(|_| Act::status(204));
        store.play_early(Early::Answer(413));
        let client = client(&store.url("/"), Duration::from_secs(20));
        let body = vec![b'x'; 32 << 20];
        assert_eq!(client.post(&body, None).unwrap().status, 413);
        assert_eq!(client.post(&body, None).unwrap().status, 413, "on a connection of its own");
        assert_eq!(store.connections(), 2);
        store.play_early(Early::Reset);
        let error = client.post(&body, None).unwrap_err();
        let kinds = [io::ErrorKind::ConnectionReset, io::ErrorKind::UnexpectedEof];
        assert!(kinds.contains(&error.kind()), "{error}");
    }

    #[test]
    fn a_store_that_comes_back_is_found_again() {
        let mut store = Store::start(|_| Act::status(204));
        let client = client(&store.url("/"), Duration::from_secs(10));
        assert!(client.post(b"a b=1 1\n", None).is_ok());
        store.die();
        assert!(client.post(b"a b=1 1\n", None).is_err());
        store.come_back();
        assert_eq!(client.post(b"a b=1 1\n", None).unwrap().status, 204);
    }

    #[test]
    fn the_name_of_a_host_is_looked_up() {
        let store = Store::start(|_| Act::status(204));
        let url = store.url("/").replace("127.0.0.1", "localhost");
        assert_eq!(
            client(&url, Duration::from_secs(10)).post(b"a b=1 1\n", None).unwrap().status,
            204
        );
        let none = client("http://store.invalid/", Duration::from_secs(10));
        assert!(none.post(b"a b=1 1\n", None).is_err());
    }
}
