//! The keys that each upstream service has in its section.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use settings::Errors;

const MILLISECOND: Duration = Duration::from_millis(1);

/// How one upstream service is called. Flatten it into the section of that service, beside its URL:
///
/// ```
/// /// The partner that issues vouchers.
/// #[derive(Clone, Debug, settings::Settings)]
/// pub struct PartnerSettings {
///     /// The base URL of the partner.
///     #[setting(default = reqwest::Url::parse("http://127.0.0.1:8092").expect("a valid URL"))]
///     pub url: reqwest::Url,
///     /// How the partner is called.
///     #[setting(flatten)]
///     pub upstream: upstream::Settings,
/// }
/// ```
#[derive(Clone, Debug, settings::Settings)]
#[settings(check = Settings::check)]
pub struct Settings {
    /// The credential that each call carries, in `Authorization: Bearer …`. If empty, none is sent.
    pub token: Option<SecretString>,
    /// The header that carries the token instead, without `Bearer`, such as `X-Api-Key`.
    pub token_header: Option<String>,
    /// Maximum time of one attempt, from connecting to the end of the response. After that, the attempt is retried if
    /// possible; otherwise the call fails with 504 `deadline-exceeded`.
    #[setting(default = Duration::from_millis(800), min = MILLISECOND)]
    pub attempt_timeout: Duration,
    /// Maximum calls to the service in flight per process; further calls fail with 503 `upstream-unavailable`.
    #[setting(default = 32, min = 1)]
    pub max_concurrent_calls: usize,
    /// Maximum size of a response body in bytes; a call with a larger one fails with 502 `upstream-invalid`.
    #[setting(default = 262_144, min = 1)]
    pub max_response_bytes: usize,
    /// Fraction of failed attempts, 0 to 1, at which the circuit breaker of the service opens. While it is open, calls
    /// fail immediately with 503 `upstream-unavailable`.
    #[setting(default = 0.5, above = 0.0, max = 1.0)]
    pub breaker_failure_rate: f32,
    /// Minimum attempts within `breaker_window` before the circuit breaker can open.
    #[setting(default = 10, min = 1)]
    pub breaker_min_calls: usize,
    /// Sliding window over which attempts and failures are counted.
    #[setting(default = Duration::from_secs(30), min = MILLISECOND)]
    pub breaker_window: Duration,
    /// Time, ±20 %, for which the circuit breaker stays open before one call probes the service.
    #[setting(default = Duration::from_secs(5), min = MILLISECOND)]
    pub breaker_open_duration: Duration,
}

impl Settings {
    fn check(&self, errors: &mut Errors) {
        if let Err((key, message)) = self.credential() {
            errors.add(key, message);
        }
    }

    /// The header that carries the credential, if one is sent; the error is a key and what is wrong with it.
    pub(crate) fn credential(
        &self,
    ) -> Result<Option<(HeaderName, HeaderValue)>, (&'static str, &'static str)> {
        let Some(token) = &self.token else {
            return match self.token_header {
                Some(_) => Err(("token_header", "needs `token`, the value of the header")),
                None => Ok(None),
            };
        };
        let (name, prefix) = match &self.token_header {
            Some(name) => (name.parse(), ""),
            None => (Ok(AUTHORIZATION), "Bearer "),
        };
        let name = name.map_err(|_| ("token_header", "is not the name of a header, such as X-Api-Key"))?;
        let value = HeaderValue::try_from(format!("{prefix}{}", token.expose_secret()));
        let mut value = value.map_err(|_| ("token", "contains a character that a header cannot carry"))?;
        value.set_sensitive(true);
        Ok(Some((name, value)))
    }
}
