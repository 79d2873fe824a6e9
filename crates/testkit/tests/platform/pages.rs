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
        assert_eq!(page.headers()["vary"], "accept");
        let policy = page.headers()["content-security-policy"].to_str().expect("ASCII");
        assert!(policy.starts_with("default-src 'self'"), "{policy}");
        let page = page.text().await.expect("text");
        // As a browser shows it: nothing of the text is taken for a tag.
        let shown = page.replace("<code>", "`").replace("</code>", "`");
        let shown = shown
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&amp;", "&");
        assert!(shown.contains(row.title) && shown.contains(row.advice), "{page}");
        assert!(!page.contains("<token>"), "{page}");
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

#[tokio::test(flavor = "multi_thread")]
async fn html_is_for_clients_that_prefer_it() {
    let app = TestApp::start().await;
    for (accept, html) in [
        ("text/html,application/xhtml+xml,*/*;q=0.8", true),
        ("TEXT/HTML", true),
        ("application/json, text/html;q=0.5", false),
        ("application/json;q=0.2, text/html;q=0.5", true),
        ("text/html;q=0", false),
        ("*/*", false),
    ] {
        let request = app.request(Method::GET, "/problems").header("accept", accept);
        let response = request.send().await.expect("a response");
        let is_html = response.headers()["content-type"] == "text/html; charset=utf-8";
        assert_eq!(is_html, html, "{accept}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_may_be_cached_and_data_may_not() {
    let app = TestApp::start().await;
    for path in [
        "/problems",
        "/problems/internal",
        "/openapi.json",
        "/docs/index.html",
    ] {
        let response = app.get(path).await;
        assert_eq!(
            response.headers()["cache-control"],
            "public, max-age=300",
            "{path}"
        );
        assert_eq!(response.headers()["x-content-type-options"], "nosniff", "{path}");
    }
    for path in ["/info", "/v1/test/notes", "/problems/nothing"] {
        let response = app.get(path).await;
        assert_eq!(response.headers()["cache-control"], "no-store", "{path}");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn info_can_be_reduced_to_the_name() {
    let app = TestApp::build().set("http.info_details", "false").start().await;
    let info: Value = app.get("/info").await.json().await.expect("JSON");
    assert_eq!(info.as_object().expect("an object").len(), 1, "{info}");
    let full = TestApp::start().await;
    let info: Value = full.get("/info").await.json().await.expect("JSON");
    assert_eq!(info["environment"], "development");
}

#[tokio::test(flavor = "multi_thread")]
async fn head_is_answered_like_get_and_options_lists_the_methods() {
    let app = TestApp::start().await;
    let path = app.create_note().await;
    for path in [
        path.as_str(),
        "/v1/test/notes",
        "/info",
        "/problems",
        "/openapi.json",
    ] {
        let head = app.request(Method::HEAD, path).send().await.expect("a response");
        let get = app.get(path).await;
        assert_eq!(head.status(), 200, "{path}");
        assert_eq!(
            head.headers()["content-type"],
            get.headers()["content-type"],
            "{path}"
        );
        assert_eq!(
            head.headers()["content-length"],
            get.headers()["content-length"],
            "{path}"
        );
        assert_eq!(head.text().await.expect("text"), "", "{path}");
    }
    let anonymous = app.anonymous(Method::HEAD, "/v1/test/notes").send().await;
    assert_eq!(anonymous.expect("a response").status(), 401);
    let options = app.anonymous(Method::OPTIONS, "/v1/test/notes").send().await;
    let options = options.expect("a response");
    assert_eq!(
        (options.status().as_u16(), &options.headers()["allow"]),
        (204, &"GET, HEAD, OPTIONS, POST".parse().expect("a value"))
    );
    let nowhere = app
        .anonymous(Method::OPTIONS, "/nowhere")
        .send()
        .await
        .expect("a response");
    assert_problem(nowhere, "unmatched", Method::OPTIONS, "route-not-found").await;
}
