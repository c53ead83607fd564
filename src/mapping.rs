//! Sample → point: names, tags, timestamp, what is skipped (SPEC 2.1 to 2.3).

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
pub struct Options {
    /// Where the measurement's name comes from.
    pub measurement: Measurement,
    /// Whose time counts.
    pub timestamps: Timestamps,
}
