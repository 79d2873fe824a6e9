//! The sections `database` and `idempotency`.

use std::time::Duration;

use settings::{Errors, ExposeSecret, SecretString};
use sqlx::postgres::PgConnectOptions;

/// What fits into the milliseconds of Postgres, which are 32 bits.
const LONGEST: Duration = Duration::from_secs(24 * 24 * 60 * 60);
const MILLISECOND: Duration = Duration::from_millis(1);

/// Postgres.
#[derive(Clone, Debug, settings::Settings)]
#[settings(check = Settings::check)]
pub struct Settings {
    /// `postgres://user:password@host:port/database`.
    pub url: SecretString,
    /// Connections for requests.
    #[setting(default = 16, min = 1)]
    pub pool_size: usize,
    /// Time to get a connection. Longer is 503: `overloaded` where all are in use, else `dependency-unavailable`.
    #[setting(default = Duration::from_millis(250), min = MILLISECOND)]
    pub acquire_timeout: Duration,
    /// `statement_timeout` of every connection.
    #[setting(default = Duration::from_millis(700), min = MILLISECOND, max = LONGEST)]
    pub statement_timeout: Duration,
    /// `lock_timeout` of every connection, but for a commit, which may wait for as long as its request has time.
    #[setting(default = Duration::from_millis(500), min = MILLISECOND, max = LONGEST)]
    pub lock_timeout: Duration,
    /// `idle_in_transaction_session_timeout` of every connection.
    #[setting(default = Duration::from_secs(5), min = MILLISECOND, max = LONGEST)]
    pub idle_in_transaction_timeout: Duration,
    /// A connection idle for longer is pinged before it is used again.
    #[setting(default = Duration::from_secs(30))]
    pub ping_after_idle: Duration,
}

impl Settings {
    fn check(&self, errors: &mut Errors) {
        const EXAMPLE: &str = "postgres://user:password@localhost:5432/database";
        let url = self.url.expose_secret();
        if url.is_empty() {
            errors.add(
                "url",
                format!("is not set; set APP__DATABASE__URL, for example to {EXAMPLE}"),
            );
        } else if !["postgres://", "postgresql://"]
            .iter()
            .any(|scheme| url.starts_with(scheme))
        {
            errors.add("url", format!("is not an address of the form {EXAMPLE}"));
        } else if url.parse::<PgConnectOptions>().is_err() {
            errors.add(
                "url",
                format!("cannot be read as an address; compare with {EXAMPLE}"),
            );
        }
        errors.outlasts(
            "statement_timeout",
            (self.statement_timeout, self.statement_timeout > self.lock_timeout),
            ("`database.lock_timeout`", self.lock_timeout),
        );
    }

    /// These settings for connections whose statements may take this long.
    pub fn with_statement_timeout(&self, statement_timeout: Duration) -> Self {
        Self {
            statement_timeout,
            ..self.clone()
        }
    }
}

/// Idempotency keys.
#[derive(Clone, Debug, settings::Settings)]
pub struct IdempotencySettings {
    /// How long a key's answer is kept; afterwards the key is a new one.
    #[setting(default = Duration::from_secs(24 * 60 * 60), min = MILLISECOND)]
    pub retention: Duration,
}
