//! The address of a consumer, `host [ ":" port ]` (RFC 3986, section 3.2) → its host and its port;
//! and what may be a host, which holds for the addresses to listen on, too.
//!
//! What no system could ever connect to is refused here, when the configuration is read. Whether
//! there is such a host is seen with each connection.

use crate::push::sample::Quoted;
use std::fmt;
use std::net::Ipv6Addr;

/// Why nothing can ever be reached there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AddressError {
    /// There is no host.
    NoHost,
    /// It is neither a name nor an IP address.
    Host {
        /// What was found.
        found: String,
    },
    /// It is an IPv6 address, and its end and the port cannot be told apart.
    NoBrackets {
        /// What was found.
        found: String,
    },
    /// There is no port where one is needed.
    NoPort,
    /// What follows the host is no port.
    Port {
        /// What was found.
        found: String,
    },
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AddressError::NoHost => f.write_str("has no host"),
            AddressError::Host { found } => write!(
                f,
                "has the host {}, must be a name, an IPv4 address or an IPv6 address in brackets",
                Quoted(found.as_bytes())
            ),
            AddressError::NoBrackets { found } => write!(
                f,
                "has the IPv6 address {}, which must be in brackets, as [::1]:9091",
                Quoted(found.as_bytes())
            ),
            AddressError::NoPort => f.write_str("has no port"),
            AddressError::Port { found } => {
                write!(f, "has the port {}, must be 1 to 65535", Quoted(found.as_bytes()))
            }
        }
    }
}

/// Splits an address into its host, an IPv6 address in brackets as it is, and its port; none where
/// it has none.
///
/// # Errors
/// Nothing can be reached there.
pub(crate) fn split_address(text: &str) -> Result<(&str, Option<u16>), AddressError> {
    let (host, port) = match text.rsplit_once(':') {
        // Not one of the colons in brackets.
        Some((host, port)) if !host.starts_with('[') || host.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    if matches!(host, "" | "[]") {
        return Err(AddressError::NoHost);
    }
    check_host(host)?;
    Ok((host, port.map(read_port).transpose()?))
}

/// Whether there can be such a host. The system looks up a name of any characters, and an IPv6
/// address with the name of its zone, which it does not read in brackets.
///
/// # Errors
/// There can be none.
pub(crate) fn check_host(host: &str) -> Result<(), AddressError> {
    let wrong = || AddressError::Host { found: host.to_owned() };
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let (address, zone) = address.split_once('%').unwrap_or((address, "0"));
        let is_fit = is_ipv6(address) && zone.parse::<u32>().is_ok();
        return if is_fit { Ok(()) } else { Err(wrong()) };
    }
    let (address, zone) = host.split_once('%').map_or((host, None), |(it, zone)| (it, Some(zone)));
    if is_ipv6(address) {
        let is_zone_named = zone.is_some_and(|zone| zone.parse::<u32>().is_err());
        let bare = || AddressError::NoBrackets { found: host.to_owned() };
        return if is_zone_named { Ok(()) } else { Err(bare()) };
    }
    let is_delimiter =
        |char: char| char.is_whitespace() || char.is_control() || "[]:/?#@*".contains(char);
    let is_fit = !host.contains(is_delimiter) && !is_broken_ipv4(host);
    if is_fit { Ok(()) } else { Err(wrong()) }
}

fn is_ipv6(text: &str) -> bool {
    text.parse::<Ipv6Addr>().is_ok()
}

/// Four numbers, one of which is too large for an IPv4 address. No name looks like that (RFC 1123,
/// section 2.1); fewer numbers may be an address, as inet_aton(3) reads it.
fn is_broken_ipv4(host: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_fit = |part: &str| part.parse::<u8>().is_ok();
    host.split('.').count() == 4 && host.split('.').all(is_number) && !host.split('.').all(is_fit)
}

fn read_port(text: &str) -> Result<u16, AddressError> {
    let port = text.parse().ok().filter(|port| *port > 0);
    port.ok_or_else(|| AddressError::Port { found: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_perhaps_a_port() {
        let host = |found: &str| Err(AddressError::Host { found: found.to_owned() });
        let bare = |found: &str| Err(AddressError::NoBrackets { found: found.to_owned() });
        let port = |found: &str| Err(AddressError::Port { found: found.to_owned() });
        for (text, want) in [
            ("store", Ok(("store", None))),
            ("store:1", Ok(("store", Some(1)))),
            ("a_b.store.:65535", Ok(("a_b.store.", Some(65535)))),
            ("127.0.0.1:80", Ok(("127.0.0.1", Some(80)))),
            ("[::1]", Ok(("[::1]", None))),
            ("[::1]:80", Ok(("[::1]", Some(80)))),
            ("[fe80::1%2]:80", Ok(("[fe80::1%2]", Some(80)))),
            ("::1:80", bare("::1")),
            ("::1", host(":")),
            ("fe80::1%2:80", bare("fe80::1%2")),
            ("fe80::1%eth0:80", Ok(("fe80::1%eth0", Some(80)))),
            ("127.1:80", Ok(("127.1", Some(80)))),
            ("256.1.1.a:80", Ok(("256.1.1.a", Some(80)))),
            ("", Err(AddressError::NoHost)),
            ("[]:80", Err(AddressError::NoHost)),
            (":80", Err(AddressError::NoHost)),
            (":0", Err(AddressError::NoHost)),
            ("store:0", port("0")),
            ("store:", port("")),
            ("store:65536", port("65536")),
            ("store:http", port("http")),
            ("[::zz]", host("[::zz]")),
            ("[::zz]:80", host("[::zz]")),
            ("[::1", host("[::1")),
            ("[::1]x:80", host("[::1]x:80")),
            ("[store]:80", host("[store]")),
            ("a b:80", host("a b")),
            ("a/b:80", host("a/b")),
            ("::zz:80", host("::zz")),
            ("[fe80::1%eth0]:80", host("[fe80::1%eth0]")),
            ("256.1.1.1:80", host("256.1.1.1")),
            ("*:80", host("*")),
        ] {
            assert_eq!(split_address(text), want, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_what_is_allowed() {
        for (text, want) in [
            (":80", "has no host"),
            (
                "[::zz]:80",
                "has the host \"[::zz]\", must be a name, an IPv4 address or an IPv6 address in brackets",
            ),
            ("::1:80", "has the IPv6 address \"::1\", which must be in brackets, as [::1]:9091"),
            ("store:0", "has the port \"0\", must be 1 to 65535"),
        ] {
            assert_eq!(split_address(text).unwrap_err().to_string(), want, "{text}");
        }
        assert_eq!(AddressError::NoPort.to_string(), "has no port");
    }
}
