//! Every bound that foreign bytes meet and that is not a setting: its unit and its reason.
//!
//! The bounds that an operator may set (`max_body_bytes` and its kin, SPEC 4) have their defaults
//! here too, so that how they relate can be asserted in one place at compile time.

use std::time::Duration;

/// One kibibyte, in bytes.
pub(crate) const KIB: usize = 1024;
/// One mebibyte, in bytes.
pub(crate) const MIB: usize = 1024 * KIB;

/// So many mebibytes as the bound of a size, or 2 GiB where addresses have 32 bits: no more fits
/// into a buffer there.
pub(crate) const fn addressable_mib(count: usize) -> usize {
    const HALF: usize = usize::MAX / 2 + 1;
    match count.checked_mul(MIB) {
        Some(bytes) if bytes < HALF => bytes,
        _ => HALF,
    }
}

/// The head of a request, from its first byte to the empty line. Every client of the Pushgateway
/// protocol stays under a tenth of it.
pub(crate) const HEAD_BYTES_MAX: usize = 16 * KIB;
/// Header fields in one request.
pub(crate) const HEADERS_MAX: usize = 64;

/// What a TLS client may send before its handshake is done: a chain of four certificates, and
/// three times as much.
#[cfg(feature = "tls")]
pub(crate) const HANDSHAKE_BYTES_MAX: usize = 32 * KIB;
/// Bytes of an answer that are sealed and that a TLS client has not taken: one record.
#[cfg(feature = "tls")]
pub(crate) const SEALED_BYTES_MAX: usize = 16 * KIB;
/// Sessions of TLS clients without tickets that can be resumed.
#[cfg(feature = "tls")]
pub(crate) const TLS_SESSIONS_MAX: usize = 256;

/// Default of `server.max_body_bytes`: the body of a push as sent.
pub const BODY_BYTES_MAX: usize = 16 * MIB;
/// Default of `server.max_decoded_bytes`: the body of a push after decompression.
pub const DECODED_BYTES_MAX: usize = 64 * MIB;
/// Default of `server.max_line_bytes`: one line, without its LF. No key in InfluxDB may be longer.
pub const LINE_BYTES_MAX: usize = 64 * KIB;
/// Default of `server.max_buffered_bytes`: bodies in hand, all connections together.
pub(crate) const BUFFERED_BYTES_MAX: usize = 256 * MIB;
/// Default of `server.max_connections`.
pub const CONNECTIONS_MAX: usize = 1024;
/// Connections beyond `server.max_connections`: those that come with something whole while all
/// places are held by those that do not, and probes.
pub(crate) const EXTRA_CONNECTIONS_MAX: usize = 64;
/// The seats among them that are kept for newcomers, probes among them, whatever the others do.
pub(crate) const PROBE_SEATS: usize = 8;
/// Default of `output.queue_bytes`: lines that wait for the writer.
pub const QUEUE_BYTES: usize = 64 * MIB;

/// What a worker keeps of a buffer between two pushes: one unusually large push must not hold its
/// memory for good.
pub(crate) const KEPT_BUFFER_BYTES_MAX: usize = MIB;

/// The first bytes of each body, which `server.max_buffered_bytes` does not count: connections
/// bound them as they bound heads, and nearly every push is smaller.
pub(crate) const FREE_BODY_BYTES: usize = 16 * KIB;
/// What is read of a body before it must be admitted among the large ones.
pub(crate) const UNADMITTED_BODY_BYTES_MAX: usize = 64 * KIB;
/// The sizes of the large bodies that are read, converted or written at once: more than the workers
/// convert in the time that it takes to read the next one.
pub(crate) const ADMITTED_BYTES_MAX: usize = 4 * MIB;
/// Buffers of large bodies that no request has, all together: as many as two workers and the gate
/// have in hand.
pub(crate) const SPARE_BODIES_BYTES_MAX: usize = 2 * MIB;
/// Requests whose buffers are kept for later ones.
pub(crate) const SPARE_REQUESTS_MAX: usize = 32;

/// What an idle connection keeps of the buffer for bodies: there may be thousands of them.
pub(crate) const KEPT_BODY_BYTES_MAX: usize = 32 * KIB;

/// Buffers for lines that no worker has in hand, all together: a few of them have grown large.
pub(crate) const SPARES_BYTES_MAX: usize = 4 * MIB;

/// URLs of pushes that a worker knows again: an edge host has some dozens of pushers.
pub(crate) const KNOWN_GROUPS_MAX: usize = 64;
/// The longest URL that is kept for that, in bytes.
pub(crate) const KNOWN_TARGET_BYTES_MAX: usize = KIB;

/// What a socket output keeps of the last written lines, in bytes, to send them again after a
/// reconnect: Linux lets a receive buffer grow to 6 MiB by default (`tcp_rmem`), and our own send
/// buffer is bounded far below the rest.
pub(crate) const REPLAY_BYTES: usize = 8 * MIB;

/// What a consumer may ask for as a pause (`Retry-After`): what it asks beyond that, an operator
/// wants to know of.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// Small batches are joined up to so many bytes before one write.
pub(crate) const JOINED_BYTES_MAX: usize = 256 * KIB;

/// Requests that a store may be sent for one block that it refuses something of: a bad line among
/// thousands is found with thirty.
pub(crate) const REQUESTS_PER_BLOCK_MAX: usize = 64;
/// Bytes of a store's answer that are read: InfluxDB 3 names every line that it refuses.
pub(crate) const STORE_ANSWER_BYTES_MAX: usize = 64 * KIB;
/// Bytes of a store's message that are logged, shown and sent to the pusher.
pub(crate) const STORE_WORDS_BYTES_MAX: usize = 256;

/// Default of `spool.max_bytes`.
pub(crate) const SPOOL_BYTES: u64 = 256 << 20;
/// Files of a spool's folder that are looked at: far more than segments fit into one.
pub(crate) const SPOOL_FILES_MAX: usize = 65_536;
/// Segments that a spool keeps for their damage: the newest ones, to be looked at by hand.
pub(crate) const SPOOL_BAD_SEGMENTS_MAX: usize = 4;
/// Lines that are gathered for one sync of the spool, in bytes.
pub(crate) const SPOOL_GATHERED_BYTES_MAX: usize = MIB;
/// The smallest and the largest size at which a segment is full, in bytes: a start reads one.
pub(crate) const SPOOL_SEGMENT_BYTES_MIN: u64 = MIB as u64;
/// See above.
pub(crate) const SPOOL_SEGMENT_BYTES_MAX: u64 = 8 * MIB as u64;
/// The largest segment that is read, in bytes: one push may be larger than a segment should be.
pub(crate) const SPOOL_READ_BYTES_MAX: u64 = 1024 * MIB as u64;

/// Entries of each list and table of rules that an input may have: every new name that a pusher
/// sends is held against all of them.
pub(crate) const RULES_MAX: usize = 256;
/// Bytes of one text in them: a pattern takes at most as many steps for each character of a name.
pub(crate) const RULE_BYTES_MAX: usize = 256;
/// Labels of a sample whose memory a reader keeps between two pushes: far more than samples have.
pub(crate) const KEPT_LABELS_MAX: usize = 1024;

/// Bounds of buckets and quantiles that a reader, or a writer, knows at once: more than the buckets
/// of a few histograms.
pub(crate) const CYCLE_ENTRIES_MAX: usize = 64;

/// One line of the log, its line end included: what `PIPE_BUF` is on Linux, which a pipe that has
/// room takes whole and at once.
pub(crate) const LOG_LINE_BYTES_MAX: usize = 4 * KIB;

/// Bytes of foreign input that an error message quotes at most.
pub(crate) const QUOTED_BYTES_MAX: usize = 40;

/// Groups that the status page tells of: whoever pushes more than that is watched by other means.
pub(crate) const STATUS_GROUPS_MAX: usize = 50;
/// Label names and values of one of these groups, in bytes. A URL may have sixteen times as many.
pub(crate) const STATUS_LABELS_BYTES_MAX: usize = KIB;
/// One of these values, in bytes, so that a long one leaves room for the others.
pub(crate) const STATUS_VALUE_BYTES_MAX: usize = 256;
/// The last lines of one of these groups, in bytes.
pub(crate) const STATUS_LINES_BYTES_MAX: usize = KIB;
/// The last pushes of one of these groups that are told one by one.
pub(crate) const STATUS_RECENT_MAX: usize = 24;
/// Groups that are counted as different ones; who sends more is told that there are more.
pub(crate) const STATUS_SEEN_MAX: usize = 4096;
/// Notes of the figures: one a second, ten minutes and one second of them.
pub(crate) const STATUS_NOTES_MAX: usize = 602;
/// Lines that the consumer refused which the status page shows.
pub(crate) const STATUS_REJECTED_MAX: usize = 5;
/// The text of an error on the status page, in bytes.
pub(crate) const STATUS_ERROR_BYTES_MAX: usize = 512;

/// Pairs of lines that a dry run or `pushline convert` tells of; the rest is counted.
pub(crate) const REMARKS_MAX: usize = 1000;

const _: () = assert!(STATUS_VALUE_BYTES_MAX < STATUS_LABELS_BYTES_MAX);
const _: () = assert!(STATUS_LABELS_BYTES_MAX < HEAD_BYTES_MAX);
const _: () = assert!(BODY_BYTES_MAX <= DECODED_BYTES_MAX);
const _: () = assert!(BODY_BYTES_MAX <= BUFFERED_BYTES_MAX);
const _: () = assert!(HEAD_BYTES_MAX < BODY_BYTES_MAX);
const _: () = assert!(PROBE_SEATS < EXTRA_CONNECTIONS_MAX);
