//! Prometheus text and OpenMetrics → samples (SPEC 1.3, 5): one reader for text 0.0.4, text 1.0.0
//! and OpenMetrics 1.0.
//!
//! `reader` has the grammar and reads from left to right, once. `comment` reads what comments say,
//! `series`, `braces`, `pairs` and `quoted` what a sample is called, `bound_reader` the numbers in
//! its labels. All walk with one `cursor`.

mod bound_reader;
mod braces;
mod comment;
mod cursor;
mod dialect;
mod pairs;
mod quoted;
mod reader;
mod series;

pub use dialect::Dialect;
pub use reader::TextReader;
