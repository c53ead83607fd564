//! `[server]`: where pushes come in, and the bounds of each.

use crate::config::key::Reload::{NeedsRestart, Taken};
use crate::config::key::{Key, Section, Stored, field};
use crate::config::options::Config;
use crate::config::value_types::{Addresses, Count, OptionalPath, Period, Size};
use crate::intake::gate::Listen;
use crate::limits::{self, KIB, MIB, addressable_mib};
use std::time::Duration;

pub(super) static SERVER: Section<Config> = Section {
    name: "server",
    about: "",
    keys: &[
        Key {
            name: "listen",
            about: "where to listen: `host:port`, `:port` (every address) or `unix:/path`, several \
                    are allowed; sockets that a supervisor hands over (`LISTEN_FDS`) take the place of this list",
            reload: NeedsRestart,
            value: &Stored {
                is: Addresses,
                default: || vec![Listen::Tcp("127.0.0.1:9091".to_owned())],
                field: field!(Config, server.gate.listen),
            },
        },
        Key {
            name: "workers",
            about: "size of the fixed worker pool; 0 is one for each CPU, at least two",
            reload: NeedsRestart,
            value: &Stored {
                is: Count { min: 0, max: 1024 },
                default: || 0,
                field: field!(Config, server.workers),
            },
        },
        Key {
            name: "max_body_bytes",
            about: "one body as sent; beyond: 413. Not above `max_buffered_bytes`",
            reload: Taken,
            value: &Stored {
                is: Size { min: KIB, max: 1024 * MIB },
                default: || limits::BODY_BYTES_MAX,
                field: field!(Config, server.gate.body_bytes_max),
            },
        },
        Key {
            name: "max_decoded_bytes",
            about: "one body after decompression; beyond: 413",
            reload: Taken,
            value: &Stored {
                is: Size { min: KIB, max: 2047 * MIB },
                default: || limits::DECODED_BYTES_MAX,
                field: field!(Config, server.decoded_bytes_max),
            },
        },
        Key {
            name: "max_buffered_bytes",
            about: "bodies in hand and large answers, all connections together; beyond: 503. Not \
                    below `max_body_bytes`",
            reload: Taken,
            value: &Stored {
                is: Size { min: KIB, max: addressable_mib(64 * 1024) },
                default: || limits::BUFFERED_BYTES_MAX,
                field: field!(Config, server.gate.buffered_bytes_max),
            },
        },
        Key {
            name: "max_line_bytes",
            about: "one line, without its line end; beyond: 400. InfluxDB takes no key above 64KiB",
            reload: Taken,
            value: &Stored {
                is: Size { min: KIB, max: 16 * MIB },
                default: || limits::LINE_BYTES_MAX,
                field: field!(Config, server.line_bytes_max),
            },
        },
        Key {
            name: "max_connections",
            about: "connections at once; beyond, the longest-idle one makes room, or the oldest \
                    request that is not whole",
            reload: Taken,
            value: &Stored {
                is: Count { min: 1, max: 100_000 },
                default: || limits::CONNECTIONS_MAX,
                field: field!(Config, server.gate.connections_max),
            },
        },
        Key {
            name: "head_timeout",
            about: "from the first byte of a request to the end of its head",
            reload: Taken,
            value: &Stored {
                is: Period::TIMEOUT,
                default: || Duration::from_secs(10),
                field: field!(Config, server.gate.head_timeout),
            },
        },
        Key {
            name: "body_timeout",
            about: "from there to the end of its body; beyond: 408. A client may take as long to \
                    read its answer",
            reload: Taken,
            value: &Stored {
                is: Period::TIMEOUT,
                default: || Duration::from_secs(30),
                field: field!(Config, server.gate.body_timeout),
            },
        },
        Key {
            name: "idle_timeout",
            about: "between two requests of a connection",
            reload: Taken,
            value: &Stored {
                is: Period::TIMEOUT,
                default: || Duration::from_secs(60),
                field: field!(Config, server.gate.idle_timeout),
            },
        },
        Key {
            name: "auth_file",
            about: "one credential a line, `basic user:password` or `bearer token`, hashed or not; not readable \
                    by others. Empty = open. SIGHUP reads it again",
            reload: Taken,
            value: &Stored {
                is: OptionalPath,
                default: || None,
                field: field!(Config, server.auth_file),
            },
        },
    ],
};

pub(super) static TLS: Section<Config> = Section {
    name: "server.tls",
    about: "with the first two set, TCP listeners speak TLS 1.2 and 1.3; `unix:` stays plain",
    keys: &[
        Key {
            name: "cert",
            about: "the certificate, PEM, its chain included; SIGHUP reads it and the next two again",
            reload: Taken,
            value: &Stored {
                is: OptionalPath,
                default: || None,
                field: field!(Config, server.gate.tls.cert),
            },
        },
        Key {
            name: "key",
            about: "its key, PEM: RSA, ECDSA or Ed25519",
            reload: Taken,
            value: &Stored {
                is: OptionalPath,
                default: || None,
                field: field!(Config, server.gate.tls.key),
            },
        },
        Key {
            name: "client_ca",
            about: "set = a client needs a certificate of one of these authorities, PEM",
            reload: Taken,
            value: &Stored {
                is: OptionalPath,
                default: || None,
                field: field!(Config, server.gate.tls.client_ca),
            },
        },
    ],
};
