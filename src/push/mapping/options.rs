//! What an input asks of its mapping.

use super::rules::{Filter, MeasurementRule, TagRules};

/// Whether a sample's own timestamp is used (SPEC 2.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timestamps {
    /// A sample's own time when it is above 0, else the time of the push.
    #[default]
    Honor,
    /// Always the time of the push.
    Ignore,
}

/// Which name the measurement gets (SPEC 2.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Measurement {
    /// Cut from the metric's name; the field is the rest of it.
    #[default]
    Cut,
    /// Cut from the metric's name; the field keeps the whole name (`keep_exist_metric_name`).
    CutAndKeep,
    /// The job of the push (`job_as_measurement`).
    Job,
    /// Always this one (`measurement_name`).
    Fixed(String),
}

/// What an input asks of its mapping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MappingOptions {
    /// Where the measurement's name comes from.
    pub measurement: Measurement,
    /// Whose time counts.
    pub timestamps: Timestamps,
    /// Which metrics are kept.
    pub filter: Filter,
    /// The first that fits names the measurement, and `measurement` where none does.
    pub measurement_rules: Vec<MeasurementRule>,
    /// What the name of every measurement begins with, wherever the rest comes from.
    pub measurement_prefix: String,
    /// What becomes of labels.
    pub tags: TagRules,
}

impl MappingOptions {
    /// Both names are cut from the metric's, and nothing else has a say in them.
    pub(super) fn cuts_only(&self) -> bool {
        matches!(self.measurement, Measurement::Cut | Measurement::CutAndKeep)
            && self.measurement_rules.is_empty()
            && self.measurement_prefix.is_empty()
    }
}
