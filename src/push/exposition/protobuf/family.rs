//! What a metric family says of its metrics: its name and its type (SPEC 1.4).

use super::super::error::Error;
use super::super::name;
use super::wire::{Fields, Message};
use crate::push::sample::Names;

/// `MetricType`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MetricType {
    Counter,
    Gauge,
    Summary,
    Untyped,
    /// HISTOGRAM and GAUGE_HISTOGRAM.
    Histogram,
}

impl MetricType {
    pub(super) fn of(number: u64) -> Option<MetricType> {
        Some(match number {
            0 => MetricType::Counter,
            1 => MetricType::Gauge,
            2 => MetricType::Summary,
            3 => MetricType::Untyped,
            4 | 5 => MetricType::Histogram,
            _ => return None,
        })
    }

    /// The field of `Metric` that holds its value.
    pub(super) fn field(self) -> u64 {
        match self {
            MetricType::Gauge => 2,
            MetricType::Counter => 3,
            MetricType::Summary => 4,
            MetricType::Untyped => 5,
            MetricType::Histogram => 7,
        }
    }
}

/// `MetricFamily`, without its metrics.
#[derive(Clone, Copy)]
pub(super) struct Family<'b> {
    pub(super) message: Message<'b>,
    pub(super) name: &'b str,
    pub(super) metric_type: MetricType,
    pub(super) names: Names,
}

impl<'b> Family<'b> {
    pub(super) fn read(message: Message<'b>, names: Names) -> Result<Family<'b>, Error> {
        let mut family = Family { message, name: "", metric_type: MetricType::Counter, names };
        let mut fields = Fields::new(message);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => family.name = field.text()?,
                3 => {
                    family.metric_type = MetricType::of(field.varint()?)
                        .ok_or_else(|| field.error("the type of the family is not known"))?;
                }
                _ => {}
            }
        }
        name::check_metric(family.name, names)
            .map_err(|kind| family.at(Error::new(message.start, kind)))?;
        Ok(family)
    }

    /// The same error, with the family's name.
    pub(super) fn at(&self, error: Error) -> Error {
        error.in_family(self.name)
    }
}
