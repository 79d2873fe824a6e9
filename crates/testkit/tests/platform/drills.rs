//! The fault switch of the management port.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::notes::NOTES;

use crate::{TestApp, assert_problem};

async fn switch(app: &TestApp, fault: &Value) -> u16 {
    let request = reqwest::Client::new().put(format!("{}/faults", app.management_url));
    let response = request.json(fault).send().await.expect("an answer");
    response.status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_strikes_where_it_is_told_and_spares_the_probes() {
    let app = TestApp::build().set("faults.enabled", "true").start().await;
    assert_eq!(
        switch(&app, &json!({ "kind": "panic", "route": NOTES })).await,
        204
    );
    assert_problem(app.get(NOTES).await, NOTES, Method::GET, "internal").await;
    assert_eq!(app.get("/problems").await.status(), 200);
    assert_eq!(app.management("/readyz").await.status(), 200);

    assert_eq!(
        switch(&app, &json!({ "kind": "latency", "ms": 10_000 })).await,
        204
    );
    let response = app.get(NOTES).await;
    assert_problem(response, NOTES, Method::GET, "deadline-exceeded").await;

    assert_eq!(switch(&app, &json!({ "kind": "not-ready" })).await, 204);
    assert_eq!(app.management("/readyz").await.status(), 503);
    assert_eq!(app.management("/livez").await.status(), 200);
    assert_eq!(app.get(NOTES).await.status(), 200);

    let off = reqwest::Client::new().delete(format!("{}/faults", app.management_url));
    assert_eq!(off.send().await.expect("an answer").status(), 204);
    assert_eq!(app.get(NOTES).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_key_there_is_no_drill() {
    let app = TestApp::start().await;
    assert_eq!(switch(&app, &json!({ "kind": "panic" })).await, 403);
    assert_eq!(app.get(NOTES).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_can_be_sick_from_the_start() {
    let sick = json!({ "kind": "panic", "route": NOTES });
    let app = TestApp::build()
        .set("faults.enabled", "true")
        .set("faults.start", &sick.to_string())
        .start()
        .await;
    assert_problem(app.get(NOTES).await, NOTES, Method::GET, "internal").await;
    assert_eq!(app.management("/readyz").await.status(), 200);
}
