//! One push: body, exposition, mapping and line → the lines of a batch (SPEC 1).
//!
//! The only place that composes the stages. A [`Pusher`] belongs to a worker; a push is encoded
//! into the worker's own buffer, and only a whole, valid push leaves it.

pub mod body;
pub mod exposition;
pub mod line;
pub mod mapping;
mod remarks;
pub mod route;
pub mod sample;

use crate::observe::telemetry::Reason;
use body::{Coding, Decoder};
use exposition::delta::Delta;
use exposition::text::Dialect;
use exposition::{protobuf, text};
use line::{Encoder, LineLimits, TooLong};
use mapping::{Context, Doubtful, Mapper, Mapping, Skipped};
use remarks::{SamePoint, SamplesByLine, WrittenSample};
use route::Group;
use sample::{Format, Sample};
use std::fmt;

/// One `[[inputs.pushgateway]]`: where it listens and how it maps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Input {
    /// Where its pushes arrive.
    pub endpoint: route::Endpoint,
    /// How its samples become points.
    pub mapping: mapping::MappingOptions,
}

/// The bounds of one push, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushLimits {
    /// The body after decompression (`server.max_decoded_bytes`).
    pub decoded_bytes_max: usize,
    /// One line, without its LF (`server.max_line_bytes`).
    pub line_bytes_max: usize,
    /// The lines of one push: it must fit the queue (`output.queue_bytes`).
    pub lines_bytes_max: usize,
}

/// What a push is besides its body.
#[derive(Clone, Copy, Debug)]
pub struct PushHeaders<'a> {
    /// The labels of its URL.
    pub group: &'a Group,
    /// `Content-Type`
    pub content_type: Option<&'a str>,
    /// `Content-Encoding`
    pub content_encoding: Option<&'a str>,
    /// When it was received, in nanoseconds since the Unix epoch.
    pub received_ns: i64,
}

impl<'a> PushHeaders<'a> {
    /// What the mapping needs of them.
    fn context(&self, input: &'a Input) -> Context<'a> {
        let (job, group) = (self.group.job(), self.group.labels());
        Context { options: &input.mapping, job, group, received_ns: self.received_ns }
    }
}

/// A push that became lines.
#[derive(Debug)]
pub struct Converted {
    /// Whole lines, each with its LF.
    pub lines: Vec<u8>,
    /// How many.
    pub line_count: u32,
    /// Samples read, the skipped ones included.
    pub sample_count: u64,
    /// Samples without a line.
    pub skipped: Skipped,
    /// What was written, and is perhaps not what the pusher means.
    pub doubtful: Doubtful,
    /// The size of the decoded body, in bytes.
    pub decoded_bytes: usize,
    /// Its format.
    pub format: Format,
    /// Its coding.
    pub coding: Coding,
}

/// Why a push is refused; nothing of it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// Its body cannot be decoded.
    Body(body::Error),
    /// Its exposition is malformed.
    Exposition {
        /// The format that it should be in.
        format: Format,
        /// What is wrong, and where.
        description: String,
    },
    /// 413: its lines would not fit the queue.
    LinesTooLong(TooLong),
    /// 400: one of its lines is longer than any may be.
    LineTooLong {
        /// How long, and the place of its sample.
        description: String,
    },
}

impl Error {
    /// The status of the answer.
    pub fn status(&self) -> u16 {
        match self {
            Error::Body(error) => error.status(),
            Error::Exposition { .. } | Error::LineTooLong { .. } => 400,
            Error::LinesTooLong(_) => 413,
        }
    }

    /// How it is counted.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Error::Body(error) => error.reason(),
            Error::Exposition { format: Format::Text, .. } => Reason::MalformedText,
            Error::Exposition { format: Format::OpenMetrics, .. } => Reason::MalformedOpenMetrics,
            Error::Exposition { format: Format::Protobuf, .. } => Reason::MalformedProtobuf,
            Error::LinesTooLong(_) => Reason::LinesTooLarge,
            Error::LineTooLong { .. } => Reason::LineTooLong,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Body(error) => error.fmt(f),
            Error::Exposition { description, .. } | Error::LineTooLong { description } => {
                f.write_str(description)
            }
            Error::LinesTooLong(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

/// Turns pushes into lines, one after the other.
#[derive(Debug)]
pub struct Pusher {
    options: PushLimits,
    decoder: Decoder,
    text: text::TextReader,
    protobuf: protobuf::ProtobufReader,
    mapper: Mapper,
    encoder: Encoder,
}

/// What ends the reading of a body: its own mistake, or lines without end.
enum PushStop {
    Exposition(exposition::Error),
    TooLong(TooLong),
}

impl From<exposition::Error> for PushStop {
    fn from(error: exposition::Error) -> PushStop {
        PushStop::Exposition(error)
    }
}

/// Nothing more of a body needs to be read again.
struct Enough;

impl From<exposition::Error> for Enough {
    fn from(_: exposition::Error) -> Enough {
        Enough
    }
}

/// The stages after the reader of one push.
struct SampleWriter<'p> {
    mapping: Mapping<'p>,
    encoder: &'p mut Encoder,
    sample_count: u64,
}

impl SampleWriter<'_> {
    /// Writes what line protocol can say of a sample.
    #[inline(always)]
    fn write(&mut self, sample: &Sample<'_>, delta: Delta) -> Result<(), PushStop> {
        self.sample_count += 1;
        match self.mapping.map(sample, delta) {
            Some(point) => self.encoder.push(&point).map_err(PushStop::TooLong),
            None => Ok(()),
        }
    }
}

impl Pusher {
    /// A pusher with these bounds.
    pub fn new(options: PushLimits) -> Pusher {
        let (decoder, text, protobuf, mapper, encoder) = Default::default();
        Pusher { options, decoder, text, protobuf, mapper, encoder }
    }

    /// Holds the pushes from here on to these bounds.
    pub(crate) fn set_options(&mut self, options: PushLimits) {
        self.options = options;
    }

    /// Converts one whole push. `sent` is the body as sent, `buffer` an old one to write into.
    ///
    /// # Errors
    /// [`Error`] tells the pusher what is wrong; the push leaves nothing behind.
    pub fn convert(
        &mut self,
        input: &Input,
        head: PushHeaders<'_>,
        sent: &[u8],
        buffer: Vec<u8>,
    ) -> Result<Converted, Error> {
        let converted = self.try_convert(input, head, sent, buffer);
        self.decoder.release();
        converted
    }

    fn try_convert(
        &mut self,
        input: &Input,
        head: PushHeaders<'_>,
        sent: &[u8],
        buffer: Vec<u8>,
    ) -> Result<Converted, Error> {
        let format = body::format(head.content_type).map_err(Error::Body)?;
        let coding = Coding::from_header(head.content_encoding).map_err(Error::Body)?;
        let PushLimits { decoded_bytes_max, line_bytes_max, lines_bytes_max } = self.options;
        let body = self.decoder.decode(coding, sent, decoded_bytes_max).map_err(Error::Body)?;
        let mapping = self.mapper.begin(head.context(input));
        let encoder = &mut self.encoder;
        let limits = LineLimits { line_bytes_max, lines_bytes_max };
        encoder.begin(buffer, limits, head.group.labels());
        let mut writer = SampleWriter { mapping, encoder, sample_count: 0 };
        // Two closures, so that each has one caller and is made one piece with it.
        let names = input.endpoint.names;
        let outcome = match Dialect::of(format) {
            Some(dialect) => {
                self.text.read(body, dialect, names, |sample, delta| writer.write(sample, delta))
            }
            None => self.protobuf.read(body, names, |sample, delta| writer.write(sample, delta)),
        };
        let SampleWriter { mapping, encoder, sample_count } = writer;
        // Taken out in either case: the lines of a refused push must not stay.
        let (lines, line_count) = encoder.finish();
        outcome.map_err(|stop| match stop {
            PushStop::Exposition(error) => {
                Error::Exposition { format, description: error.describe(body, format) }
            }
            PushStop::TooLong(error @ TooLong::Lines { .. }) => Error::LinesTooLong(error),
            PushStop::TooLong(error @ TooLong::Line { .. }) => {
                let place = match Dialect::of(format) {
                    Some(_) => self.text.place_of_last_sample(body),
                    None => self.protobuf.place_of_last_sample(),
                };
                Error::LineTooLong { description: place.describe(body, format, &error) }
            }
        })?;
        let (skipped, doubtful, decoded_bytes) = (mapping.skipped, mapping.doubtful, body.len());
        Ok(Converted {
            lines,
            line_count,
            sample_count,
            skipped,
            doubtful,
            decoded_bytes,
            format,
            coding,
        })
    }
    /// What a person who looks at the lines of a push should know of them; one line each.
    /// `converted` is what [`Pusher::convert`] made of the same push.
    pub fn remarks(
        &mut self,
        input: &Input,
        head: PushHeaders<'_>,
        sent: &[u8],
        converted: &Converted,
    ) -> Vec<String> {
        let Converted { sample_count, skipped, doubtful, format, .. } = *converted;
        let mut remarks = remarks::of_counts(sample_count, skipped, doubtful, format);
        let limits = self.options;
        let body = self.decoder.decode(converted.coding, sent, limits.decoded_bytes_max);
        remarks.extend(body.ok().and_then(|body| remarks::of_body(body, sample_count)));
        let (pairs, more) = remarks::same_points(&converted.lines);
        if !pairs.is_empty() {
            let samples = self.samples_of(input, head, (sent, converted), &pairs);
            let labels = head.group.labels();
            let of_pair = |pair: &SamePoint| remarks::of_same_point(*pair, &samples, labels);
            remarks.extend(pairs.iter().map(of_pair));
        }
        if more > 0 {
            remarks.push(format!("{more} more pairs of lines are one point each"));
        }
        remarks
    }

    /// The samples of the lines of these pairs: the push is converted again up to the last of them,
    /// and noted is what comes to each.
    fn samples_of(
        &mut self,
        input: &Input,
        head: PushHeaders<'_>,
        (sent, converted): (&[u8], &Converted),
        pairs: &[SamePoint],
    ) -> SamplesByLine {
        let PushLimits { decoded_bytes_max, line_bytes_max, lines_bytes_max } = self.options;
        let numbers = pairs.iter().flat_map(|pair| [pair.first, pair.second]);
        let mut samples: SamplesByLine = numbers.map(|number| (number, Vec::new())).collect();
        let last_number = pairs.iter().map(|pair| pair.second).max().unwrap_or_default();
        let (mut mapper, mut encoder) = (Mapper::default(), Encoder::default());
        let mut mapping = mapper.begin(head.context(input));
        let limits = LineLimits { line_bytes_max, lines_bytes_max };
        encoder.begin(Vec::new(), limits, head.group.labels());
        // OK because it was decoded and read before: there is no error, and without a body there
        // would be no reasons.
        let body = self.decoder.decode(converted.coding, sent, decoded_bytes_max);
        let note = |sample: &Sample<'_>| -> Result<(), Enough> {
            let Some(point) = mapping.map(sample, Delta::UNKNOWN) else { return Ok(()) };
            let field = [point.series.field(), point.series.suffix()].concat();
            encoder.push(&point).map_err(|_| Enough)?;
            let number = encoder.line_count();
            if let Some(known) = samples.get_mut(&number) {
                known.push(WrittenSample::new(field, sample));
            }
            if number > last_number { Err(Enough) } else { Ok(()) }
        };
        let names = input.endpoint.names;
        let body = body.unwrap_or_default();
        if exposition::read(body, converted.format, names, note).is_err() {
            // OK because the lines that are asked about come before that.
        }
        self.decoder.release();
        samples
    }
}
