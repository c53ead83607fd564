//! The texts of bounds, which come again in every series of a family.

use super::lines::Lines;
use super::number;
use crate::cycle::Cycle;
use crate::short::ShortText;

/// Writes bounds, and knows those that it wrote before.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    /// By their bits.
    known: Cycle<u64, ShortText>,
}

impl Bounds {
    /// Appends `le` or `quantile`; `number` is not NaN.
    #[inline(always)]
    pub(super) fn push(&mut self, out: &mut Lines, number: f64) {
        let bits = number.to_bits();
        match self.known.get(bits) {
            Some(text) => out.extend_short(text.borrowed()),
            None => {
                let start = out.len();
                number::push_bound(out, number);
                // OK because Go's longest has 24 bytes.
                self.known.insert(bits, ShortText::new(out.between(start, out.len())));
            }
        }
    }
}
