//! docker compose, and the addresses of its services.

use std::{
    collections::HashMap,
    process::{Command, Stdio},
    sync::{LazyLock, Mutex},
};

use crate::{Failure, load::Caller};

/// Runs `docker compose` and returns its standard output; an error contains its standard error.
pub(super) fn compose(arguments: &[&str]) -> Result<String, Failure> {
    let output = Command::new("docker")
        .arg("compose")
        .args(arguments)
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(format!("docker compose {}: {error}", arguments.join(" ")).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The address of a service's port on this machine, such as `http://127.0.0.1:8080`.
pub(super) fn address(service: &str, port: u16) -> Result<String, Failure> {
    static KNOWN: LazyLock<Mutex<HashMap<String, String>>> = LazyLock::new(Mutex::default);
    let name = format!("{service}:{port}");
    if let Some(known) = KNOWN.lock().expect("not poisoned").get(&name) {
        return Ok(known.clone());
    }
    let published = compose(&["port", service, &port.to_string()])
        .map_err(|error| format!("{service} is not running; is the stack up (`make up`)? {error}"))?;
    let address = format!("http://{published}");
    KNOWN.lock().expect("not poisoned").insert(name, address.clone());
    Ok(address)
}

fn token(subject: &str) -> Result<String, Failure> {
    compose(&["exec", "-T", "api", "/api", "token", "--subject", subject])
}

/// Creates a caller of the running service that acts as `subject`.
pub(crate) async fn caller_of(subject: &str) -> Result<Caller, Failure> {
    Caller::connect(address("api", 8080)?, token(subject)?).await
}
