//! Figures leave as `name value` lines, which `scripts/bench` reads.

use std::fmt::Display;

/// Tells one figure.
pub fn tell(name: impl Display, value: f64) {
    println!("{name} {value}");
}
