//! The sections `log` and `telemetry`.

use std::time::Duration;

use settings::{Choice, Errors};
use tracing_subscriber::EnvFilter;
use url::Url;

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Choice)]
pub enum LogFormat {
    /// `Pretty` on a terminal, otherwise `Json`.
    Auto,
    /// One JSON object per line.
    Json,
    /// Text for people.
    Pretty,
}

/// Logs.
#[derive(Clone, Debug, settings::Settings)]
#[settings(check = LogSettings::check)]
pub struct LogSettings {
    /// Format of log lines: `json`, `pretty` (for people) or `auto` (`pretty` on a terminal, otherwise `json`).
    #[setting(default = LogFormat::Auto)]
    pub format: LogFormat,
    /// Log levels, separated by commas: `level` for everything or `target=level` for a module, such as
    /// `info,sqlx=warn`.
    #[setting(default = "info,actix_server=warn".to_owned())]
    pub filter: String,
}

impl LogSettings {
    fn check(&self, errors: &mut Errors) {
        if EnvFilter::try_new(&self.filter).is_err() {
            errors.add("filter", "expected levels such as `info` or `info,api=debug`");
        }
    }
}

/// Traces.
#[derive(Clone, Debug, settings::Settings)]
pub struct Settings {
    /// Address of the collector that receives spans as OTLP over HTTP, such as <http://jaeger:4318>; if empty, no spans
    /// are sent.
    pub endpoint: Option<Url>,
    /// Fraction, 0 to 1, of the traces begun by this service that are kept regardless of their outcome. A trace that
    /// the caller has sampled is always kept.
    #[setting(default = 0.01, min = 0.0, max = 1.0)]
    pub sample_ratio: f32,
    /// Duration from which a request or a job counts as slow. The traces of slow and of failed ones are always kept.
    #[setting(default = Duration::from_secs(1))]
    pub slow_threshold: Duration,
    /// Maximum time for the collector to accept a batch of spans; after that, the batch is dropped and counted in
    /// `telemetry_dropped_total`.
    #[setting(default = Duration::from_secs(3), min = Duration::from_millis(1))]
    pub export_timeout: Duration,
    /// Maximum finished spans that wait for export; further spans are dropped and counted in `telemetry_dropped_total`. A
    /// quarter is reserved for failed spans and for traces that tail sampling kept.
    #[setting(default = 2_048, min = 1)]
    pub queue_size: usize,
}
