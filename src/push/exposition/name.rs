//! Which bytes and names the formats allow (SPEC 1.3), for text and protobuf alike.

use super::error::ErrorKind;
use crate::push::sample::{Label, Names};
use std::collections::HashSet;

/// Labels up to which duplicates are looked for by comparing all pairs.
const PAIRS_MAX: usize = 16;

/// A byte may begin a metric name.
const METRIC_START: u8 = 1;
/// A byte may stand within a metric name.
const METRIC: u8 = 2;
/// A byte may begin a label name.
const LABEL_START: u8 = 4;
/// A byte may stand within a label name.
const LABEL: u8 = 8;

/// `[a-zA-Z_:][a-zA-Z0-9_:]*` is a metric name, `[a-zA-Z_][a-zA-Z0-9_]*` a label name.
const CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => METRIC_START | METRIC | LABEL_START | LABEL,
            b'0'..=b'9' => METRIC | LABEL,
            b':' => METRIC_START | METRIC,
            _ => 0,
        };
        byte += 1;
    }
    table
}

/// How many bytes at the start of `bytes` are a legacy metric name; 0 for none.
#[inline]
pub(super) fn metric_name_len(bytes: &[u8]) -> usize {
    len_of(bytes, METRIC_START, METRIC)
}

/// How many bytes at the start of `bytes` are a legacy label name; 0 for none.
#[inline]
pub(super) fn label_name_len(bytes: &[u8]) -> usize {
    len_of(bytes, LABEL_START, LABEL)
}

#[inline]
fn len_of(bytes: &[u8], start: u8, rest: u8) -> usize {
    match bytes.first() {
        Some(first) if CLASSES[usize::from(*first)] & start != 0 => {}
        _ => return 0,
    }
    let is_end = |byte: &u8| CLASSES[usize::from(*byte)] & rest == 0;
    bytes.iter().position(is_end).unwrap_or(bytes.len())
}

/// Checks a metric name that came quoted or in protobuf.
pub(super) fn check_metric(name: &str, names: Names) -> Result<(), ErrorKind> {
    check(name, names, metric_name_len(name.as_bytes()))
}

/// Checks a label name that came quoted or in protobuf.
pub(super) fn check_label(name: &str, names: Names) -> Result<(), ErrorKind> {
    if name == RESERVED_LABEL {
        return Err(ErrorKind::ReservedLabel);
    }
    check(name, names, label_name_len(name.as_bytes()))
}

fn check(name: &str, names: Names, legacy_len: usize) -> Result<(), ErrorKind> {
    if name.is_empty() {
        Err(ErrorKind::EmptyName)
    } else if legacy_len == name.len() || names == Names::Utf8 {
        Ok(())
    } else {
        Err(ErrorKind::NeedsUtf8Names { name: name.to_owned() })
    }
}

/// No label may stand twice in one sample.
pub(super) fn check_unique(labels: &[Label<'_>]) -> Result<(), ErrorKind> {
    duplicate(labels).map_or(Ok(()), |(_, kind)| Err(kind))
}

/// The first label whose name an earlier one has: its index, and what is wrong with it.
#[inline(always)]
pub(super) fn duplicate(labels: &[Label<'_>]) -> Option<(usize, ErrorKind)> {
    if are_plainly_unique(labels) { None } else { find_duplicate(labels) }
}

/// Whether few bits of each name suffice to tell all of them apart, as they mostly do.
#[inline]
fn are_plainly_unique(labels: &[Label<'_>]) -> bool {
    let mut seen: u64 = 0;
    labels.iter().all(|label| {
        let name = label.name.as_bytes();
        let (Some(first), Some(last)) = (name.first(), name.last()) else { return false };
        let mix = name.len().wrapping_mul(7) + usize::from(*first) + usize::from(*last) * 3;
        let bit = 1 << (mix % 64);
        let is_new = seen & bit == 0;
        seen |= bit;
        is_new
    })
}

#[cold]
fn find_duplicate(labels: &[Label<'_>]) -> Option<(usize, ErrorKind)> {
    let index = if labels.len() <= PAIRS_MAX {
        let mut indexed = labels.iter().enumerate();
        indexed.position(|(index, label)| {
            labels.iter().take(index).any(|other| other.name == label.name)
        })
    } else {
        let mut seen = HashSet::with_capacity(labels.len());
        labels.iter().position(|label| !seen.insert(label.name.as_ref()))
    }?;
    let name = labels.get(index)?.name.clone().into_owned();
    Some((index, ErrorKind::DuplicateLabel { name }))
}

/// The label that Prometheus keeps a metric's name in: never a label of a push (SPEC 5).
pub(super) const RESERVED_LABEL: &str = "__name__";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_legacy_name_ends_at_the_first_other_byte() {
        for (text, metric, label) in [
            ("", 0, 0),
            ("ab_c9 1", 5, 5),
            ("a:b{", 3, 1),
            (":a", 2, 0),
            ("9a", 0, 0),
            ("a-b", 1, 1),
            ("café", 3, 3),
            ("__name__", 8, 8),
        ] {
            assert_eq!(metric_name_len(text.as_bytes()), metric, "metric {text:?}");
            assert_eq!(label_name_len(text.as_bytes()), label, "label {text:?}");
        }
    }

    #[test]
    fn only_utf8_names_allow_more() {
        assert_eq!(check_metric("a.b", Names::Utf8), Ok(()));
        let needs = ErrorKind::NeedsUtf8Names { name: "a.b".to_owned() };
        assert_eq!(check_metric("a.b", Names::Legacy), Err(needs));
        assert_eq!(check_metric("a:b", Names::Legacy), Ok(()));
        assert!(check_label("a:b", Names::Legacy).is_err());
        assert_eq!(check_label("a:b", Names::Utf8), Ok(()));
        assert_eq!(check_label("", Names::Utf8), Err(ErrorKind::EmptyName));
        assert_eq!(check_label("__name__", Names::Utf8), Err(ErrorKind::ReservedLabel));
    }
}
