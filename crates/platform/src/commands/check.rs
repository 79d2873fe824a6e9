//! `api check`: everything in one run, so that one round of corrections is enough.

use std::time::Duration;

use database::SchemaState;
use settings::Loaded;

use super::in_words;
use crate::{Definition, Platform, Settings};

/// Patience with a dependency.
const LIMIT: Duration = Duration::from_secs(2);

pub(super) async fn run<C: AsRef<Settings>>(
    loaded: Loaded<C>,
    definition: &Definition,
) -> anyhow::Result<()> {
    for error in &loaded.errors {
        println!("error  {error}");
    }
    let count = loaded.errors.len();
    anyhow::ensure!(
        count == 0,
        "the configuration has {count} error(s); dependencies were not asked"
    );
    println!(
        "ok     configuration ({})",
        loaded.settings.as_ref().service.environment.as_str()
    );

    let platform = Platform::new(loaded.settings.as_ref(), definition)?;
    let mut errors = 0;
    let mut report = |name: &str, result: Result<String, String>| match result {
        Ok(words) => println!("ok     {name}: {words}"),
        Err(words) => {
            errors += 1;
            println!("error  {name}: {words}");
        }
    };
    let ping = platform.checks.ping(LIMIT).await;
    let reached = ping.is_ok();
    // The server's own words: a wrong password is not an unreachable server.
    let ping = ping.map_err(|error| format!("{}; check database.url", in_words(error)));
    report("postgres", ping.map(|()| "reached".to_owned()));
    if reached {
        report(
            "schema",
            match platform.schema_state().await {
                Ok(SchemaState::NewEnough) => Ok(format!("at least {}", definition.schema.needed())),
                Ok(SchemaState::TooOld(behind)) => Err(behind.to_string()),
                Err(error) => Err(format!("cannot be read: {}", in_words(error))),
            },
        );
    }
    #[cfg(feature = "cache")]
    if let Some(redis) = &platform.redis {
        let words = if redis.ping().await {
            "reached"
        } else {
            "away; it is not required, but nothing is cached"
        };
        report("redis", Ok(words.to_owned()));
    }
    anyhow::ensure!(errors == 0, "{errors} error(s)");
    Ok(())
}
