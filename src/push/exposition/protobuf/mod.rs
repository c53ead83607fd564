//! Length-delimited `io.prometheus.client.MetricFamily` → samples (SPEC 1.4, 2.2, 5; the messages
//! are those of prometheus/client_model, `io/prometheus/client/metrics.proto`).
//!
//! Fields are read one by one over sub-slices that bound each nested message; no message is built.
//! `reader` walks over families and hands samples on, `family` and `metric` read one of each, and
//! `labels` the labels of a metric. Those that are, byte by byte, labels of the metric before are
//! not read again.

mod family;
mod histogram;
mod labels;
mod metric;
mod reader;
mod wire;

pub use reader::ProtobufReader;
