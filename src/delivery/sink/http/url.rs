//! `output.target` that begins with `http` → where a store's write API is (SPEC 3.1).
//!
//! The URL is sent as it is written. Its query may carry secrets (`p=` of InfluxDB 1, `token=` of
//! others), so what is logged and shown ends before it.

use super::super::address::{AddressError, split_address};
use crate::push::sample::Quoted;
use std::fmt;

/// The URL of a store's write API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoreUrl {
    text: String,
    is_tls: bool,
    host: String,
}

/// Why a URL cannot be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UrlError {
    /// It is neither `http://` nor `https://`.
    Scheme,
    /// A byte that no URL has: a blank, a control character or a character that is not ASCII.
    Byte {
        /// The byte.
        found: u8,
    },
    /// Its host or its port cannot be one.
    Address(AddressError),
    /// Credentials in a URL end up in process lists and logs.
    Credentials,
    /// This binary was built without the feature `tls`.
    NoTls,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UrlError::Scheme => write!(f, "must begin with http:// or https://"),
            UrlError::Byte { found } => {
                write!(f, "has {}, which must be percent-encoded", Quoted(&[*found]))
            }
            UrlError::Address(error) => error.fmt(f),
            UrlError::Credentials => {
                write!(f, "has credentials before its host; put them into output.http.auth_file")
            }
            UrlError::NoTls => write!(
                f,
                "is https, and this pushline is built without TLS; take one that is built with \
                 the feature tls"
            ),
        }
    }
}

impl std::error::Error for UrlError {}

impl StoreUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// It cannot be the URL of a store.
    pub(crate) fn read(text: &str) -> Result<StoreUrl, UrlError> {
        let (is_tls, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(UrlError::Scheme),
        };
        if let Some(found) = rest.bytes().find(|byte| !byte.is_ascii_graphic()) {
            return Err(UrlError::Byte { found });
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let authority = rest.get(..end).unwrap_or_default();
        if authority.contains('@') {
            return Err(UrlError::Credentials);
        }
        let (host, _port) = split_address(authority).map_err(UrlError::Address)?;
        // A URL has the colons of an address in brackets, and no zone (RFC 3986, section 3.2.2).
        if host.contains('%') || host.contains(':') && !host.starts_with('[') {
            return Err(UrlError::Address(AddressError::Host { found: host.to_owned() }));
        }
        if is_tls && cfg!(not(feature = "tls")) {
            return Err(UrlError::NoTls);
        }
        Ok(StoreUrl { text: text.to_owned(), is_tls, host: host.to_owned() })
    }

    /// As it is written.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is `https`.
    pub(crate) fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Its host, an IPv6 address in brackets.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// A parameter by which the store would take our nanoseconds for something else, as
    /// `precision=ms`.
    pub(crate) fn wrong_precision(&self) -> Option<&str> {
        let (_, query) = self.text.split_once('?')?;
        query.split(['&', '#']).find(|parameter| {
            let value = parameter.strip_prefix("precision=");
            value.is_some_and(|value| !matches!(value, "" | "n" | "ns" | "nanosecond" | "auto"))
        })
    }
}

impl fmt::Display for StoreUrl {
    /// Up to its query, which may have secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text.split(['?', '#']).next().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_scheme_and_a_host() {
        let host =
            |found: &str| Err(UrlError::Address(AddressError::Host { found: found.to_owned() }));
        for (text, want) in [
            ("http://store", Ok(("store", false))),
            ("http://store:8086/write?db=metrics&p=secret", Ok(("store", false))),
            ("http://127.0.0.1:9000?x", Ok(("127.0.0.1", false))),
            ("http://[::1]/api", Ok(("[::1]", false))),
            ("http://[::1]:8428/write", Ok(("[::1]", false))),
            ("store:8086", Err(UrlError::Scheme)),
            ("HTTP://store", Err(UrlError::Scheme)),
            ("http://", Err(UrlError::Address(AddressError::NoHost))),
            ("http:///write", Err(UrlError::Address(AddressError::NoHost))),
            ("http://:80/", Err(UrlError::Address(AddressError::NoHost))),
            (
                "http://store:0/",
                Err(UrlError::Address(AddressError::Port { found: "0".to_owned() })),
            ),
            ("http://[::zz]", host("[::zz]")),
            (
                "http://::1:80/",
                Err(UrlError::Address(AddressError::NoBrackets { found: "::1".to_owned() })),
            ),
            ("http://[fe80::1%25]/", host("[fe80::1%25]")),
            ("http://st%6fre/", host("st%6fre")),
            ("http://u:p@store/", Err(UrlError::Credentials)),
            ("http://store/a b", Err(UrlError::Byte { found: b' ' })),
            ("http://store/é", Err(UrlError::Byte { found: 0xc3 })),
        ] {
            let found = StoreUrl::read(text);
            let found = found.as_ref().map(|url| (url.host(), url.is_tls())).map_err(Clone::clone);
            assert_eq!(found, want, "{text}");
        }
    }

    #[cfg(feature = "tls")]
    #[test]
    fn https_is_known() {
        assert!(StoreUrl::read("https://store/write").unwrap().is_tls());
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn https_is_refused_by_a_binary_without_tls() {
        assert_eq!(StoreUrl::read("https://store/write"), Err(UrlError::NoTls));
    }

    #[test]
    fn what_is_shown_of_a_url_has_no_secrets() {
        let url = StoreUrl::read("http://store:8086/write?db=m&p=secret").unwrap();
        assert_eq!(url.to_string(), "http://store:8086/write");
        assert_eq!(url.as_str(), "http://store:8086/write?db=m&p=secret");
    }

    #[test]
    fn another_precision_than_nanoseconds_is_noticed() {
        for (query, want) in [
            ("", None),
            ("?db=m", None),
            ("?db=m&precision=ns", None),
            ("?precision=n&x=precision=ms", None),
            ("?precision=nanosecond", None),
            ("?precision=auto", None),
            ("?db=m&precision=ms", Some("precision=ms")),
            ("?precision=s#x", Some("precision=s")),
        ] {
            let url = StoreUrl::read(&format!("http://store/write{query}")).unwrap();
            assert_eq!(url.wrong_precision(), want, "{query}");
        }
    }
}
