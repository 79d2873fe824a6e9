//! Fault injection through the management port.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::notes::NOTES;

use crate::{TestApp, assert_problem};

async fn inject(app: &TestApp, fault: &Value) -> u16 {
    let request = reqwest::Client::new().put(format!("{}/faults", app.management_url));
    let response = request.json(fault).send().await.expect("a response");
    response.status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_affects_its_target_and_not_liveness_until_it_is_removed() {
    let app = TestApp::build().set("faults.enabled", "true").start().await;
    assert_eq!(
        inject(&app, &json!({ "kind": "panic", "route": NOTES })).await,
        204
    );
    assert_problem(app.get(NOTES).await, NOTES, Method::GET, "internal").await;
    assert_eq!(app.get("/problems").await.status(), 200);
    assert_eq!(app.management("/readyz").await.status(), 200);

    assert_eq!(
        inject(&app, &json!({ "kind": "latency", "ms": 10_000 })).await,
        204
    );
    let response = app.get(NOTES).await;
    assert_problem(response, NOTES, Method::GET, "deadline-exceeded").await;

    assert_eq!(inject(&app, &json!({ "kind": "not-ready" })).await, 204);
    assert_eq!(app.management("/readyz").await.status(), 503);
    assert_eq!(app.management("/livez").await.status(), 200);
    assert_eq!(app.get(NOTES).await.status(), 200);

    let removal = reqwest::Client::new().delete(format!("{}/faults", app.management_url));
    assert_eq!(removal.send().await.expect("a response").status(), 204);
    assert_eq!(app.get(NOTES).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn injection_is_forbidden_unless_faults_are_enabled() {
    let app = TestApp::start().await;
    assert_eq!(inject(&app, &json!({ "kind": "panic" })).await, 403);
    assert_eq!(app.get(NOTES).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_can_be_active_from_startup() {
    let fault = json!({ "kind": "panic", "route": NOTES });
    let app = TestApp::build()
        .set("faults.enabled", "true")
        .set("faults.at_startup", &fault.to_string())
        .start()
        .await;
    assert_problem(app.get(NOTES).await, NOTES, Method::GET, "internal").await;
    assert_eq!(app.management("/readyz").await.status(), 200);
}
