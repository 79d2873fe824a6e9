//! The smallest service: one operation, neither Redis nor jobs, and neither of their crates in the build.
//!
//! ```sh
//! export APP__DATABASE__URL=postgres://…
//! cargo run -p platform --no-default-features --example plain -- serve
//! curl localhost:8080/v1/hello
//! ```

use std::process::ExitCode;

use actix_web::{HttpResponse, get};
use http_server::extract::Context;
use outcome::{Catalogue, common};
use platform::{Platform, Service, Settings};
use utoipa_actix_web::service_config::ServiceConfig;

/// Greets.
#[utoipa::path(responses((status = 200)))]
#[get("/v1/hello")]
async fn hello(_: Context) -> HttpResponse {
    HttpResponse::Ok().json("hello")
}

fn operations(service: &mut ServiceConfig) {
    service.service(hello);
}

fn state(_: &Settings, _: &Platform) -> anyhow::Result<()> {
    Ok(())
}

static SERVICE: Service<Settings, ()> =
    Service::builder("0.1.0", Catalogue::new(&[common::ALL]), operations, state).build();

fn main() -> ExitCode {
    platform::main(&SERVICE)
}
