//! What holds for any bytes that are read as an exposition: the entry points of fuzzing
//! (`tests/fuzz`) and of the tests that damage good bodies.
//!
//! The naive twin of the text reader is not part of the product; this is the one door to it, and it
//! is built only for tests and under `cfg(fuzzing)`, which cargo-fuzz sets. A claim that does not
//! hold panics.

use super::naive_reader::{self, Plain};
use crate::limits::QUOTED_BYTES_MAX;
use crate::push::exposition::delta::Likeness;
use crate::push::exposition::text::Dialect;
use crate::push::exposition::{Error, read_deltas};
use crate::push::sample::{Format, Names};

/// A message quotes two pieces of a body at most, and each of their bytes takes six once escaped.
const MESSAGE_BYTES_MAX: usize = 12 * QUOTED_BYTES_MAX + 200;

/// The text reader and its twin find the same samples, or both refuse. Any reader says what is
/// wrong in one short line, and where. Tells whether the body was read.
pub fn twins(body: &[u8], format: Format, names: Names) -> bool {
    let found = read_all(body, format, names);
    if let Err(error) = &found {
        assert!(error.offset() <= body.len(), "{error:?}");
        let text = error.describe(body, format);
        assert!(!text.contains('\n') && text.len() < MESSAGE_BYTES_MAX, "{text}");
    }
    let dialect = match format {
        Format::Text => Dialect::Text,
        Format::OpenMetrics => Dialect::OpenMetrics,
        Format::Protobuf => return found.is_ok(),
    };
    let want = naive_reader::read(body, dialect, names);
    assert!(
        found.as_ref().ok() == want.as_ref(),
        "{}\n found {found:?}\n want  {want:?}",
        body.escape_ascii()
    );
    found.is_ok()
}

/// All samples of a body; what each has in common with the one before it must be true.
pub(crate) fn read_all(body: &[u8], format: Format, names: Names) -> Result<Vec<Plain>, Error> {
    let mut samples = Vec::new();
    let (mut last_labels, mut last_shape, mut last_family) = (Vec::new(), None, None);
    read_deltas(body, format, names, |sample, delta| {
        samples.push(Plain::of(sample));
        let labels: Vec<(String, String)> =
            sample.labels.iter().map(|it| (it.name.to_string(), it.value.to_string())).collect();
        let kept = delta.kept.of(usize::MAX);
        assert!(labels.len() >= kept, "{labels:?}");
        assert_eq!(labels.get(..kept), last_labels.get(..kept));
        let mut changed = labels.iter().zip(&last_labels).filter(|(now, before)| now != before);
        let is_alike = delta.likeness >= Likeness::Shape;
        let have_values = changed.all(|(now, before)| !now.1.is_empty() && !before.1.is_empty());
        assert!(!is_alike || have_values);
        last_labels = labels;
        let names: Vec<_> = sample.labels.iter().map(|label| label.name.to_string()).collect();
        let shape = Some((std::mem::discriminant(&sample.part), names));
        assert!(!is_alike || shape == last_shape);
        last_shape = shape;
        let family = Some(sample.family.to_owned());
        assert!(delta.likeness < Likeness::Family || family == last_family);
        last_family = family;
        Ok::<_, Error>(())
    })?;
    Ok(samples)
}
