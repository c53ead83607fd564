//! Method and path → route and grouping labels (SPEC 1, 1.1).

use crate::sample::Names;

/// Where one input takes its pushes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// Normalised: empty, or one leading `/` and no trailing one.
    pub prefix: String,
    /// Which label names its URLs may use.
    pub names: Names,
}
