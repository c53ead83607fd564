//! Why pushes, and why lines, are refused, as they are counted: closed sets, one label value each.
//!
//! Whatever can refuse a push says which [`Reason`] it is by an exhaustive `match` beside the words
//! of its message, so a new way to refuse cannot be forgotten.

/// Declares each reason once: its meaning, its name in the code and its name as a label.
macro_rules! reasons {
    (
        $(#[doc = $about:literal])+
        $set:ident: $($(#[doc = $meaning:literal])+ $reason:ident = $name:literal,)+
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $set { $($(#[doc = $meaning])+ $reason,)+ }

        impl $set {
            /// All of them, in the order of their numbers.
            pub(crate) const ALL: &'static [$set] = &[$($set::$reason,)+];

            /// Its name, as the label has it.
            pub(crate) fn name(self) -> &'static str {
                match self { $($set::$reason => $name,)+ }
            }
        }
    };
}

reasons! {
    /// Why a consumer does not get lines that were taken from a pusher.
    RejectReason:
    /// The consumer refused them.
    Refused = "refused",
    /// A single line is larger than the consumer takes.
    TooLarge = "too_large",
    /// The consumer failed at them again and again, and not at others.
    Poison = "poison",
    /// The reader closed its connection at them, twice.
    Disconnected = "disconnected",
}

reasons! {
    /// What became of a handshake of TLS.
    HandshakeOutcome:
    /// It was done in full.
    Completed = "completed",
    /// It went on from an earlier session.
    Resumed = "resumed",
    /// The client had no certificate and needed one.
    NoCertificate = "no_certificate",
    /// The certificate of the client was not accepted.
    BadCertificate = "bad_certificate",
    /// No version, suite or protocol was in common.
    Incompatible = "incompatible",
    /// The client ended it by an alert, as one that does not trust the certificate.
    Alert = "alert",
    /// What came was no TLS.
    Malformed = "malformed",
    /// A request came without TLS.
    PlainHttp = "plain_http",
    /// It was not done in time.
    TimedOut = "timed_out",
    /// The client went away.
    Abandoned = "abandoned",
    /// It was closed, as others needed its place.
    Evicted = "evicted",
}

reasons! {
    /// Why a push is refused.
    Reason:
    /// 400: the head or the framing of the request is malformed.
    Request = "request",
    /// 431: the head is over its limit.
    HeadTooLarge = "head_too_large",
    /// 505: neither HTTP/1.0 nor HTTP/1.1.
    HttpVersion = "http_version",
    /// 401: without valid credentials.
    Unauthorized = "unauthorized",
    /// 403: a browser says that a page of another site asks.
    CrossSite = "cross_site",
    /// 408: the head or the body did not arrive in time.
    TimedOut = "timed_out",
    /// 400: the connection ended before the body was whole.
    CutShort = "cut_short",
    /// 413: the body as sent is over its limit.
    BodyTooLarge = "body_too_large",
    /// 503: memory for bodies is used up.
    Memory = "memory",
    /// 503: all connections are in use.
    Connections = "connections",
    /// 503: no worker became free.
    NoWorker = "no_worker",
    /// 400: the labels of the URL are wrong.
    Url = "url",
    /// 415: a content coding that is not supported.
    Coding = "coding",
    /// 415: a parameter of the content type that is not supported.
    Parameter = "parameter",
    /// 400: the compressed bytes are corrupt.
    Corrupt = "corrupt",
    /// 413: the decoded body is over its limit.
    DecodedTooLarge = "decoded_too_large",
    /// 400: malformed text.
    MalformedText = "malformed_text",
    /// 400: malformed OpenMetrics.
    MalformedOpenMetrics = "malformed_openmetrics",
    /// 400: malformed protobuf.
    MalformedProtobuf = "malformed_protobuf",
    /// 413: its lines are more than the queue may hold.
    LinesTooLarge = "lines_too_large",
    /// 400: one of its lines is longer than any may be.
    LineTooLong = "line_too_long",
    /// 503: the output has taken nothing for too long.
    Stalled = "stalled",
    /// 503: there was no room in the queue in time.
    QueueFull = "queue_full",
    /// 503: it was not written in time; it may be written all the same.
    AckTimedOut = "ack_timed_out",
    /// 503: the process is shutting down.
    ShuttingDown = "shutting_down",
    /// 503: the output has ended for good.
    OutputEnded = "output_ended",
    /// 503: the output refuses all for a mistake of the operator.
    OutputMisconfigured = "output_misconfigured",
    /// 503: the spool has no room.
    SpoolFull = "spool_full",
    /// 422: the consumer refused lines of it; the others are written.
    LinesRefused = "lines_refused",
    /// 500: a worker panicked.
    Panic = "panic",
}
