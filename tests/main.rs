//! Acceptance tests of the service through HTTP, with real Postgres and Redis, and checks of the repository.

mod architecture;
mod catalogue;
mod changelog;
mod compat;
mod contract;
mod deliveries; // sample
mod orders; // sample
mod outage; // sample
mod reports; // sample
mod soak; // sample
mod stored; // sample
mod supplier; // sample
mod telemetry;

use api::SERVICE;
use reqwest::{Method, Response};
use serde_json::Value;
use testkit::UnderTest;

/// The service under test.
pub struct Api;

impl UnderTest for Api {
    type Settings = api::Settings;
    type State = api::Api;

    fn service() -> &'static platform::Service<api::Settings, api::Api> {
        &SERVICE
    }
}

type TestApp = testkit::TestApp<Api>;
type TestAppBuilder = testkit::TestAppBuilder<Api>; // sample

async fn assert_problem(response: Response, template: &str, method: Method, code: &str) -> Value {
    testkit::assert_problem::<Api>(response, template, method, code).await
}

/// Triggers one of the service's own problem types; returns whether any test triggers it.
async fn trigger(code: &str) -> bool {
    let mut known = false;
    known |= orders::trigger(code).await; // sample
    known |= reports::trigger(code).await; // sample
    known |= supplier::trigger(code).await; // sample
    known
}
