//! Calls from scripts of other origins.

use reqwest::{Method, RequestBuilder, Response};
use testkit::notes::NOTES;

use crate::{TestApp, assert_problem};

const ORIGIN: &str = "https://shop.example";

fn from(origin: &str, request: RequestBuilder) -> RequestBuilder {
    request.header("origin", origin)
}

fn header(response: &Response, name: &str) -> Option<String> {
    let value = response.headers().get(name);
    value.map(|value| value.to_str().expect("ASCII").to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_of_an_allowed_origin_can_read_results_and_problems() {
    let app = TestApp::build()
        .set(
            "http.cors_allowed_origins",
            &format!("{ORIGIN},http://localhost:3000"),
        )
        .start()
        .await;
    let read = from(ORIGIN, app.request(Method::GET, NOTES))
        .send()
        .await
        .expect("a response");
    assert_eq!(read.status(), 200);
    let refused = from(ORIGIN, app.anonymous(Method::GET, NOTES))
        .send()
        .await
        .expect("a response");
    app.app.platform.lifecycle.advance(runtime::Phase::Draining);
    let shed = from(ORIGIN, app.request(Method::GET, NOTES))
        .send()
        .await
        .expect("a response");
    for response in [&read, &refused, &shed] {
        assert_eq!(
            header(response, "access-control-allow-origin").as_deref(),
            Some(ORIGIN)
        );
        assert_eq!(header(response, "vary").as_deref(), Some("origin"));
        let exposed = header(response, "access-control-expose-headers").expect("exposed headers");
        for name in ["x-request-id", "retry-after", "ratelimit"] {
            assert!(exposed.contains(name), "{exposed}");
        }
    }
    assert_problem(refused, NOTES, Method::GET, "unauthenticated").await;
    assert_problem(shed, NOTES, Method::GET, "shutting-down").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_needs_no_token() {
    let app = TestApp::build()
        .set("http.cors_allowed_origins", "*")
        .start()
        .await;
    let preflight = from(ORIGIN, app.anonymous(Method::OPTIONS, NOTES))
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,idempotency-key");
    let preflight = preflight.send().await.expect("a response");
    assert_eq!(preflight.status(), 204);
    assert_eq!(
        header(&preflight, "access-control-allow-origin").as_deref(),
        Some(ORIGIN)
    );
    let methods = header(&preflight, "access-control-allow-methods").expect("methods");
    assert!(
        methods.contains("POST") && !methods.contains("DELETE"),
        "{methods}"
    );
    let headers = header(&preflight, "access-control-allow-headers").expect("headers");
    assert!(
        headers.contains("authorization") && headers.contains("idempotency-key"),
        "{headers}"
    );
    assert_eq!(
        header(&preflight, "access-control-max-age").as_deref(),
        Some("600")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn other_origins_get_no_permission_and_by_default_none_is_allowed() {
    let app = TestApp::build()
        .set("http.cors_allowed_origins", ORIGIN)
        .start()
        .await;
    let closed = TestApp::start().await;
    for (app, origin) in [
        (&app, "https://elsewhere.example"),
        (&app, "https://shop.example.evil.test"),
        (&app, "null"),
        (&closed, ORIGIN),
    ] {
        let response = from(origin, app.request(Method::GET, NOTES))
            .send()
            .await
            .expect("a response");
        assert_eq!(response.status(), 200, "the browser decides, not the service");
        assert_eq!(header(&response, "access-control-allow-origin"), None, "{origin}");
    }
}
