//! The pages that every service serves.

use reqwest::Method;
use serde_json::Value;
use testkit::notes::CATALOGUE;

use crate::{TestApp, assert_problem};

#[tokio::test(flavor = "multi_thread")]
async fn every_problem_type_has_a_page_as_html_and_json() {
    let app = TestApp::build()
        .set("rate_limit.anonymous_burst", "1000")
        .start()
        .await;
    let rows: Vec<Value> = app.get("/problems").await.json().await.expect("JSON");
    assert_eq!(rows.len(), CATALOGUE.iter().count());
    for row in CATALOGUE.iter() {
        let json: Value = app.get(&row.uri()).await.json().await.expect("JSON");
        assert_eq!(
            (&json["code"], &json["status"]),
            (&row.code.into(), &row.status.as_u16().into())
        );
        let page = app
            .request(Method::GET, &row.uri())
            .header("accept", "text/html,*/*")
            .send()
            .await;
        let page = page.expect("a response");
        assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
        let page = page.text().await.expect("text");
        assert!(page.contains(row.title) && page.contains(row.advice), "{page}");
    }
    let for_operators = app.management("/problems").await.text().await.expect("text");
    for row in CATALOGUE.iter() {
        assert!(for_operators.contains(row.operator_hint), "{}", row.code);
        for (path, accept) in [
            ("/problems", "*/*"),
            (row.uri().as_str(), "*/*"),
            (row.uri().as_str(), "text/html"),
        ] {
            let request = app.request(Method::GET, path).header("accept", accept);
            let public = request
                .send()
                .await
                .expect("a response")
                .text()
                .await
                .expect("text");
            assert!(
                !public.contains(row.operator_hint),
                "{path} shows the hint of {}",
                row.code
            );
        }
    }
    let unknown = app.get("/problems/nothing").await;
    assert_problem(unknown, "/problems/{code}", Method::GET, "route-not-found").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_its_documentation_and_the_build_information_are_served() {
    let app = TestApp::start().await;
    let contract: Value = app.get("/openapi.json").await.json().await.expect("JSON");
    assert!(contract["paths"]["/problems"]["get"].is_object());
    assert_eq!(app.get("/docs").await.headers()["location"], "/docs/");
    let page = app.get("/docs/").await.text().await.expect("text");
    assert!(page.contains("swagger-ui"), "{page}");
    let script = app
        .get("/docs/swagger-initializer.js")
        .await
        .text()
        .await
        .expect("text");
    assert!(script.contains("/openapi.json"), "{script}");
    let info: Value = app.get("/info").await.json().await.expect("JSON");
    assert_eq!(info["environment"], "development");
    assert!(info["schema"].as_i64().expect("a number") > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn management_routes_are_not_public() {
    let app = TestApp::start().await;
    for path in [
        "/livez",
        "/readyz",
        "/startupz",
        "/metrics",
        "/dependencies",
        "/status",
    ] {
        assert_eq!(app.management(path).await.status(), 200, "{path}");
        assert_eq!(app.get(path).await.status(), 404, "{path}");
    }
}
