//! docker compose, and where its services listen.

use std::{
    collections::HashMap,
    process::{Command, Stdio},
    sync::{LazyLock, Mutex},
};

use super::{Failure, load::Caller};

/// Runs `docker compose` with these arguments; gives its standard output.
pub fn compose(arguments: &[&str]) -> Result<String, Failure> {
    let output = Command::new("docker")
        .arg("compose")
        .args(arguments)
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(format!("docker compose {}: {told}", arguments.join(" ")).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Where a service's port is on this machine, as `http://127.0.0.1:8080`.
pub fn address(service: &str, port: u16) -> Result<String, Failure> {
    static KNOWN: LazyLock<Mutex<HashMap<String, String>>> = LazyLock::new(Mutex::default);
    let name = format!("{service}:{port}");
    if let Some(known) = KNOWN.lock().expect("no panic").get(&name) {
        return Ok(known.clone());
    }
    let published = compose(&["port", service, &port.to_string()])
        .map_err(|error| format!("{service} does not run; is the stack up (`make up`)? {error}"))?;
    let address = format!("http://{published}");
    KNOWN.lock().expect("no panic").insert(name, address.clone());
    Ok(address)
}

fn token(subject: &str) -> Result<String, Failure> {
    compose(&["exec", "-T", "api", "/api", "token", "--subject", subject])
}

/// A caller of the running service, with a token of this subject.
pub fn caller_of(subject: &str) -> Result<Caller, Failure> {
    Caller::new(address("api", 8080)?, token(subject)?)
}
