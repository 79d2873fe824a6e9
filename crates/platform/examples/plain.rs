//! The smallest service: one operation, without Redis or jobs, and without their crates in the build.
//!
//! ```sh
//! export APP__DATABASE__URL=postgres://…
//! cargo run -p platform --no-default-features --example plain -- serve
//! curl localhost:8080/v1/hello
//! ```

use std::{convert::Infallible, process::ExitCode};

use http_server::{Json, Operations, operation};
use outcome::{Catalogue, common};
use platform::{Platform, Service, Settings};

/// Returns a greeting.
#[operation(GET "/v1/hello", public)]
async fn hello() -> Result<Json<String>, Infallible> {
    Ok(Json("hello".to_owned()))
}

fn operations(operations: &mut Operations) {
    operations.register::<hello>();
}

fn state(_: &Settings, _: &Platform) -> anyhow::Result<()> {
    Ok(())
}

static SERVICE: Service<Settings, ()> =
    Service::builder("0.1.0", Catalogue::new(&[common::ALL]), operations, state).build();

fn main() -> ExitCode {
    platform::main(&SERVICE)
}
