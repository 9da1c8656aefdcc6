//! The page that metrics are shown on, in the words of the library that encodes it.

use std::fmt;

use prometheus_client::encoding::{
    DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet,
    prometheus_text, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::{Times, Took};

/// How the page is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format, 0.0.4.
    Prometheus,
    /// `OpenMetrics` 1.0.
    OpenMetrics,
}

impl Format {
    /// What a client gets that accepts this.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        match accept.contains("application/openmetrics-text") {
            true => Self::OpenMetrics,
            false => Self::Prometheus,
        }
    }

    /// For the header of the answer.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Writes what the registry has.
    ///
    /// # Errors
    /// When something in it cannot be written.
    pub(crate) fn write(self, registry: &Registry) -> Result<String, fmt::Error> {
        let mut page = String::new();
        match self {
            Self::Prometheus => prometheus_text::encode(&mut page, registry)?,
            Self::OpenMetrics => text::encode(&mut page, registry)?,
        }
        Ok(page)
    }
}

/// A page that is being written.
pub(crate) struct Page<'a>(pub(crate) DescriptorEncoder<'a>);

/// One metric of it.
pub(crate) struct Family<'a>(MetricEncoder<'a>);

impl Page<'_> {
    /// A metric whose number only grows. It is shown as `name_total`.
    pub(crate) fn counters<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
    ) -> Result<Family<'s>, fmt::Error> {
        self.family(name, help, MetricType::Counter)
    }

    /// A metric whose number goes up and down.
    pub(crate) fn gauges<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
    ) -> Result<Family<'s>, fmt::Error> {
        self.family(name, help, MetricType::Gauge)
    }

    /// A metric of many numbers.
    pub(crate) fn histograms<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
    ) -> Result<Family<'s>, fmt::Error> {
        self.family(name, help, MetricType::Histogram)
    }

    /// A number without labels that only grows.
    pub(crate) fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        ConstCounter::new(value).encode(self.counters(name, help)?.0)
    }

    /// A number without labels that goes up and down.
    pub(crate) fn gauge<N: EncodeGaugeValue + Copy>(
        &mut self,
        name: &str,
        help: &str,
        value: N,
    ) -> fmt::Result {
        self.gauges(name, help)?.0.encode_gauge(&value)
    }

    /// Many numbers without labels.
    pub(crate) fn histogram(&mut self, name: &str, help: &str, of: &Times) -> fmt::Result {
        of.histogram().encode(self.histograms(name, help)?.0)
    }

    /// Words about the program.
    pub(crate) fn info(
        &mut self,
        name: &str,
        help: &str,
        labels: &impl EncodeLabelSet,
    ) -> fmt::Result {
        self.family(name, help, MetricType::Info)?.0.encode_info(labels)
    }

    fn family<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        kind: MetricType,
    ) -> Result<Family<'s>, fmt::Error> {
        self.0.encode_descriptor(name, help, None, kind).map(Family)
    }
}

impl Family<'_> {
    /// The count for these labels.
    pub(crate) fn count<const N: usize>(
        &mut self,
        labels: [(&str, &str); N],
        value: u64,
    ) -> fmt::Result {
        ConstCounter::new(value).encode(self.0.encode_family(&labels)?)
    }

    /// The number for these labels.
    pub(crate) fn value<const N: usize>(
        &mut self,
        labels: [(&str, &str); N],
        value: u64,
    ) -> fmt::Result {
        ConstGauge::new(value).encode(self.0.encode_family(&labels)?)
    }

    /// The numbers for these labels.
    pub(crate) fn numbers<const N: usize>(
        &mut self,
        labels: [(&str, &str); N],
        of: &Times,
    ) -> fmt::Result {
        of.histogram().encode(self.0.encode_family(&labels)?)
    }

    /// The same of what is counted without a lock.
    pub(crate) fn took<const N: usize>(
        &mut self,
        labels: [(&str, &str); N],
        of: &Took,
    ) -> fmt::Result {
        let mut encoder = self.0.encode_family(&labels)?;
        encoder.encode_histogram::<NoLabelSet>(of.seconds, of.count, &of.buckets, None)
    }
}
