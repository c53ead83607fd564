//! The texts of bounds, which come again in every series of a family.

use super::buffer::{Full, Line};
use super::number;
use crate::bytes::recent::Cycle;
use crate::bytes::short::ShortText;

/// Writes bounds, and knows those that it wrote before.
#[derive(Debug, Default)]
pub(super) struct BoundTexts {
    /// By their bits.
    known: Cycle<u64, ShortText>,
}

impl BoundTexts {
    /// Appends `le` or `quantile`; `number` is not NaN.
    #[inline(always)]
    pub(super) fn push(&mut self, line: &mut Line<'_>, number: f64) -> Result<(), Full> {
        let bits = number.to_bits();
        match self.known.get(bits) {
            Some(text) => line.extend_short(text.borrowed()),
            None => {
                let text = number::bound(number);
                self.known.insert(bits, text);
                line.extend_short(text.borrowed())
            }
        }
    }
}
