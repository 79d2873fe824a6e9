//! The sections `log` and `telemetry`.

use std::time::Duration;

use settings::{Choice, Errors};
use tracing_subscriber::EnvFilter;
use url::Url;

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Choice)]
pub enum LogFormat {
    /// Pretty on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object per line.
    Json,
    /// For people.
    Pretty,
}

/// Logs.
#[derive(Clone, Debug, settings::Settings)]
#[settings(check = LogSettings::check)]
pub struct LogSettings {
    /// `auto`, `json` or `pretty`.
    #[setting(default = LogFormat::Auto)]
    pub format: LogFormat,
    /// What is logged, as `level` or `target=level`, with commas.
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
    /// Where spans go, as OTLP over HTTP, such as http://jaeger:4318; empty sends none.
    pub endpoint: Option<Url>,
    /// Share of requests whose trace is kept whatever becomes of them, 0 to 1.
    #[setting(default = 0.01, min = 0.0, max = 1.0)]
    pub sample_ratio: f32,
    /// Requests and jobs that fail, or take at least so long, are kept besides.
    #[setting(default = Duration::from_secs(1))]
    pub slow: Duration,
    /// Time for one batch to be taken; then it is lost, and counted.
    #[setting(default = Duration::from_secs(3), min = Duration::from_millis(1))]
    pub export_timeout: Duration,
    /// Finished spans that wait to be sent; more are dropped, and counted.
    #[setting(default = 2_048, min = 1)]
    pub queue: usize,
}
