//! `api check`: reports all errors in one run.

use std::time::Duration;

use database::SchemaState;
use settings::{ConfigError, Loaded};

use crate::{Platform, Service, Settings, rules};

/// Timeout for the check of one dependency.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) async fn run<C: AsRef<Settings>, S>(
    loaded: Loaded<C>,
    service: &Service<C, S>,
) -> anyhow::Result<()> {
    report_configuration(&loaded.errors)?;
    let settings = loaded.settings.as_ref();
    let definition = service.definition();
    let platform = Platform::new(settings, definition)?;
    // The state has the clients of other services, and knows their settings.
    (service.state)(&loaded.settings, &platform)?;
    let (broken, verified) = platform.check_upstreams();
    report_configuration(&broken.into_found())?;
    println!("ok     configuration ({})", settings.service.environment.as_str());
    for verified in rules::verified(settings).into_iter().chain(verified) {
        println!("ok     {verified}");
    }

    let mut errors = 0;
    let mut report = |name: &str, result: Result<String, String>| match result {
        Ok(message) => println!("ok     {name}: {message}"),
        Err(message) => {
            errors += 1;
            println!("error  {name}: {message}");
        }
    };
    let version = platform.checks.server_version(CHECK_TIMEOUT).await;
    let is_reachable = version.is_ok();
    // The message of the server itself: a wrong password is not an unreachable server.
    let version = version.map_err(|error| format!("{error}; check database.url and database.tls"));
    let encryption = settings.database.encryption.tls.description();
    report(
        "postgres",
        version.map(|version| format!("{version}, {encryption}")),
    );
    if is_reachable {
        report(
            "schema",
            match platform.schema_state().await {
                Ok(SchemaState::NewEnough) => Ok(format!("at least {}", definition.schema.needed())),
                Ok(SchemaState::TooOld(behind)) => Err(behind.to_string()),
                Ok(SchemaState::Forbidden(table)) => Err(rules::forbidden(table)),
                Err(error) => Err(format!("cannot be read: {error}")),
            },
        );
        let sessions = platform
            .checks
            .check_sessions(&settings.database, CHECK_TIMEOUT)
            .await;
        report(
            "sessions",
            match sessions {
                Ok(None) => Ok("timeouts and prepared statements work".to_owned()),
                Ok(Some(reason)) => Err(reason),
                Err(error) => Err(format!("cannot be checked: {error}")),
            },
        );
    }
    #[cfg(feature = "cache")]
    if let Some(redis) = &platform.redis {
        let message = match redis.version(CHECK_TIMEOUT).await {
            Ok(version) => {
                let version = version.as_deref().unwrap_or("unknown version");
                format!("{version}, {}", settings.redis.encryption.tls.description())
            }
            Err(error) => format!("unavailable ({error}); it is not required, but nothing is cached"),
        };
        report("redis", Ok(message));
    }
    anyhow::ensure!(errors == 0, "{errors} error(s)");
    Ok(())
}

/// Prints the errors of the configuration; an error if there are any.
fn report_configuration(errors: &[ConfigError]) -> anyhow::Result<()> {
    for error in errors {
        println!("error  {error}");
    }
    let count = errors.len();
    anyhow::ensure!(
        count == 0,
        "the configuration has {count} error(s); dependencies were not checked"
    );
    Ok(())
}
