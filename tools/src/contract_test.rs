//! `tools contract-test`: Schemathesis against a process of the service.

use std::{path::Path, process::Command};

use crate::{Failure, environment::Environment};

/// Runs Schemathesis, as `schemathesis.toml` configures it, on a new process of the service. An error if it found
/// anything.
pub(crate) async fn run(binary: &Path, seed: Option<&str>) -> Result<(), Failure> {
    let environment = Environment::new(binary).await;
    let api = environment.serve().await?;
    let authorization = format!(
        "Authorization: Bearer {}",
        environment.processes().token("contract-test")
    );
    let mut command = Command::new("schemathesis");
    command.args(["run", &format!("{}/openapi.json", api.public)]);
    command.args(["--header", &authorization]);
    command.args(seed.map(|seed| ["--seed", seed]).into_iter().flatten());
    let status = tokio::task::spawn_blocking(move || command.status()).await?;
    let status = status.map_err(|error| format!("schemathesis does not start: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err("the service violates its contract; see above".into())
    }
}
