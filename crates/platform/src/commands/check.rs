//! `api check`: reports all errors in one run.

use std::time::Duration;

use database::{SchemaState, ServerInfo};
use settings::Loaded;

use crate::{Platform, Service, Settings, rules};

/// Timeout for the check of one dependency.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) async fn run<C: AsRef<Settings>, S>(
    loaded: Loaded<C>,
    service: &Service<C, S>,
) -> anyhow::Result<()> {
    for error in &loaded.errors {
        println!("error  {error}");
    }
    let count = loaded.errors.len();
    anyhow::ensure!(
        count == 0,
        "the configuration has {count} error(s); dependencies were not checked"
    );
    let settings = loaded.settings.as_ref();
    println!("ok     configuration ({})", settings.service.environment.as_str());
    for verified in rules::verified(settings) {
        println!("ok     {verified}");
    }

    let definition = service.definition();
    let platform = Platform::new(settings, definition)?;
    let mut errors = 0;
    let mut report = |name: &str, result: Result<String, String>| match result {
        Ok(message) => println!("ok     {name}: {message}"),
        Err(message) => {
            errors += 1;
            println!("error  {name}: {message}");
        }
    };
    // The state has the clients of other services, whose settings are checked when it is built.
    if let Err(error) = (service.state)(&loaded.settings, &platform) {
        report("state", Err(format!("{error:#}")));
    }
    for upstream in platform.upstreams() {
        let verified = rules::calls(settings, upstream.name(), upstream.attempt_timeout());
        report(upstream.name(), verified.map_err(|error| error.to_string()));
    }
    let server = platform.checks.server(CHECK_TIMEOUT).await;
    let is_reachable = server.is_ok();
    // The message of the server itself: a wrong password is not an unreachable server.
    let server = server.map_err(|error| format!("{error}; check database.url"));
    let described = |server: ServerInfo| format!("{}, {}", server.version, encryption(server.tls.as_deref()));
    report("postgres", server.map(described));
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
        let message = match redis.version().await {
            Some(version) => {
                let encryption = encryption(redis.is_encrypted().then_some("TLS"));
                format!("{version}, {encryption}")
            }
            None => "unavailable; it is not required, but nothing is cached".to_owned(),
        };
        report("redis", Ok(message));
    }
    anyhow::ensure!(errors == 0, "{errors} error(s)");
    Ok(())
}

fn encryption(protocol: Option<&str>) -> String {
    protocol.map_or_else(
        || "not encrypted".to_owned(),
        |protocol| format!("encrypted ({protocol})"),
    )
}
