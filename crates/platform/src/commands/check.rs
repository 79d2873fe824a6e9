//! `api check`: reports all errors in one run.

use std::time::Duration;

use database::SchemaState;
use settings::Loaded;

use crate::{Platform, ServiceDefinition, Settings};

/// Timeout for the check of one dependency.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) async fn run<C: AsRef<Settings>>(
    loaded: Loaded<C>,
    definition: &ServiceDefinition,
) -> anyhow::Result<()> {
    for error in &loaded.errors {
        println!("error  {error}");
    }
    let count = loaded.errors.len();
    anyhow::ensure!(
        count == 0,
        "the configuration has {count} error(s); dependencies were not checked"
    );
    println!(
        "ok     configuration ({})",
        loaded.settings.as_ref().service.environment.as_str()
    );

    let platform = Platform::new(loaded.settings.as_ref(), definition)?;
    let mut errors = 0;
    let mut report = |name: &str, result: Result<String, String>| match result {
        Ok(message) => println!("ok     {name}: {message}"),
        Err(message) => {
            errors += 1;
            println!("error  {name}: {message}");
        }
    };
    let ping = platform.checks.ping(CHECK_TIMEOUT).await;
    let is_reachable = ping.is_ok();
    // The message of the server itself: a wrong password is not an unreachable server.
    let ping = ping.map_err(|error| format!("{error}; check database.url"));
    report("postgres", ping.map(|()| "reachable".to_owned()));
    if is_reachable {
        report(
            "schema",
            match platform.schema_state().await {
                Ok(SchemaState::NewEnough) => Ok(format!("at least {}", definition.schema.needed())),
                Ok(SchemaState::TooOld(behind)) => Err(behind.to_string()),
                Err(error) => Err(format!("cannot be read: {error}")),
            },
        );
    }
    #[cfg(feature = "cache")]
    if let Some(redis) = &platform.redis {
        let message = if redis.ping().await {
            "reachable"
        } else {
            "unavailable; it is not required, but nothing is cached"
        };
        report("redis", Ok(message.to_owned()));
    }
    anyhow::ensure!(errors == 0, "{errors} error(s)");
    Ok(())
}
