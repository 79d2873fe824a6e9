//! The sections `database` and `idempotency`.

use std::time::Duration;

use runtime::TlsSettings;
use settings::{Errors, ExposeSecret, SecretString};
use sqlx::postgres::PgConnectOptions;

/// The longest timeout that fits into Postgres's 32-bit milliseconds, in whole days.
const MAX_TIMEOUT: Duration = Duration::from_hours(576);
const MILLISECOND: Duration = Duration::from_millis(1);

/// Postgres.
#[derive(Clone, Debug, settings::Settings)]
#[settings(check = Settings::check)]
pub struct Settings {
    /// Address of the database: `postgres://user:password@host:port/database`.
    pub url: SecretString,
    /// Whether `database.url` leads to a connection pooler in transaction mode, such as PgBouncer 1.21 or later with
    /// `max_prepared_statements`. The timeouts then come from the role (`api migrate --grant-to ROLE` sets them), and
    /// workers poll for jobs instead of listening.
    #[setting(default = false)]
    pub pooler: bool,
    /// Address of the database itself, past the pooler, for `api migrate`. Required there if `database.pooler` is true.
    pub direct_url: Option<SecretString>,
    /// The keys `tls` and `root_certificate`.
    #[setting(flatten)]
    pub encryption: TlsSettings,
    /// Maximum connections per process for requests. When all are in use, a request waits for up to
    /// `database.acquire_timeout`. Each process opens up to two more for its own checks; jobs have `jobs.pool_size`.
    #[setting(default = 16, min = 1)]
    pub pool_size: usize,
    /// Maximum wait for a connection. After that, the request fails with 503: `overloaded` if all connections are in
    /// use, otherwise `dependency-unavailable`.
    #[setting(default = Duration::from_millis(250), min = MILLISECOND)]
    pub acquire_timeout: Duration,
    /// Postgres `statement_timeout` of every connection except those of jobs. A statement that takes longer is
    /// cancelled, and the request fails with 504 `deadline-exceeded`. Must exceed `database.lock_timeout`.
    #[setting(default = Duration::from_millis(650), min = MILLISECOND, max = MAX_TIMEOUT)]
    pub statement_timeout: Duration,
    /// Postgres `lock_timeout` of every connection. A statement that waits longer for a lock is cancelled, and the
    /// request fails with 503 `contention`. A commit may wait until the request's deadline instead.
    #[setting(default = Duration::from_millis(500), min = MILLISECOND, max = MAX_TIMEOUT)]
    pub lock_timeout: Duration,
    /// Postgres `idle_in_transaction_session_timeout` of every connection. The server rolls back a transaction that is
    /// idle for longer and closes its connection.
    #[setting(default = Duration::from_secs(5), min = MILLISECOND, max = MAX_TIMEOUT)]
    pub idle_in_transaction_timeout: Duration,
    /// Idle time after which a connection is pinged before it is reused.
    #[setting(default = Duration::from_secs(30))]
    pub idle_check_after: Duration,
    /// Age at which a connection is replaced when it is next used, varied by up to 20 %. New connections follow changes of
    /// DNS, of the primary server and of credentials.
    #[setting(default = Duration::from_mins(30), min = Duration::from_secs(1))]
    pub max_connection_age: Duration,
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
            errors.add("url", format!("must have the form {EXAMPLE}"));
        } else if url.parse::<PgConnectOptions>().is_err() {
            errors.add(
                "url",
                format!("cannot be parsed as an address; expected the form {EXAMPLE}"),
            );
        }
        let direct_url = self.direct_url.as_ref().map_or("", |url| url.expose_secret());
        for (key, url) in [("url", url), ("direct_url", direct_url)] {
            if let Some(parameter) = tls_parameter(url) {
                errors.add(
                    key,
                    format!("must not have `{parameter}`; set `database.tls` and `database.root_certificate` instead"),
                );
            }
        }
        if let Some(url) = &self.direct_url
            && url.expose_secret().parse::<PgConnectOptions>().is_err()
        {
            errors.add(
                "direct_url",
                format!("cannot be parsed as an address; expected the form {EXAMPLE}"),
            );
        }
        errors.outlasts(
            "statement_timeout",
            (self.statement_timeout, self.statement_timeout > self.lock_timeout),
            ("`database.lock_timeout`", self.lock_timeout),
        );
    }

    /// The timeouts that the server enforces, by the name of their parameter.
    pub(crate) fn server_timeouts(&self) -> [(&'static str, Duration); 3] {
        [
            ("statement_timeout", self.statement_timeout),
            ("lock_timeout", self.lock_timeout),
            (
                "idle_in_transaction_session_timeout",
                self.idle_in_transaction_timeout,
            ),
        ]
    }

    /// These settings with a different statement timeout.
    pub fn with_statement_timeout(&self, statement_timeout: Duration) -> Self {
        Self {
            statement_timeout,
            ..self.clone()
        }
    }
}

/// A parameter of the address that would contradict `database.tls`.
fn tls_parameter(url: &str) -> Option<&'static str> {
    const PARAMETERS: [&str; 5] = ["sslmode", "ssl-mode", "sslrootcert", "ssl-root-cert", "ssl-ca"];
    let (_, query) = url.split_once('?')?;
    let mut names = query.split('&').filter_map(|pair| pair.split('=').next());
    names.find_map(|name| PARAMETERS.into_iter().find(|parameter| *parameter == name))
}

/// Idempotency keys.
#[derive(Clone, Debug, settings::Settings)]
pub struct IdempotencySettings {
    /// Time for which the response to an idempotency key is replayed. After that, a request with the key runs again.
    #[setting(default = Duration::from_hours(24), min = MILLISECOND)]
    pub retention: Duration,
}
