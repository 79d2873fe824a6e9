//! One event per request, with what one needs at night, and nothing that must not be there.

use reqwest::Method;
use serde_json::Value;
use testkit::{Mode, TestApp, log_lines, log_lines_of, note};

async fn event_of(request: reqwest::RequestBuilder, id: &str) -> Value {
    request
        .header("x-request-id", id)
        .send()
        .await
        .expect("an answer");
    let answered: Vec<Value> = log_lines_of(id)
        .into_iter()
        .filter(|line| line["message"] == "answered")
        .collect();
    assert_eq!(answered.len(), 1, "one event per request: {answered:?}");
    answered[0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_event_of_a_request_has_its_fields() {
    let app = TestApp::start().await;
    let event = event_of(app.write_request("k", &note()), "logs-created").await;
    assert_eq!((&event["level"], &event["status"]), (&"INFO".into(), &201.into()));
    assert_eq!(
        (&event["method"], &event["route"]),
        (&"POST".into(), &"/v1/test/notes".into())
    );
    assert_eq!(
        (&event["request_id"], &event["attempts"]),
        (&"logs-created".into(), &1.into())
    );
    assert!(event["duration_ms"].as_f64().expect("a number") > 0.0);
    assert_eq!(event["trace_id"].as_str().expect("a trace id").len(), 32);
    assert_eq!(event["subject"].as_str().expect("a hash").len(), 16);
    assert!(event.get("problem").is_none());

    let event = event_of(app.request(Method::GET, "/v1/test/notes/17"), "logs-refused").await;
    assert_eq!(
        (&event["level"], &event["problem"]),
        (&"INFO".into(), &"invalid-path".into())
    );
    assert_eq!(event["route"], "/v1/test/notes/{id}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_5xx_is_an_error_with_its_cause() {
    let app = TestApp::build().postgres_proxy().start().await;
    app.postgres.as_ref().expect("asked for").set(Mode::Cut);
    let event = event_of(app.request(Method::GET, "/v1/test/notes"), "logs-failed").await;
    assert_eq!(
        (&event["level"], &event["problem"]),
        (&"ERROR".into(), &"dependency-unavailable".into())
    );
    assert!(!event["cause"].as_str().expect("a cause").is_empty());
    assert_eq!(event["attempts"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_and_personal_data_are_in_no_line_and_no_metric() {
    let app = TestApp::start().await;
    let mut planted = note();
    planted["text"] = "planted-text".into();
    let token = app.token("planted-subject", "test:read test:write");
    let send = |method, path: &str| {
        app.anonymous(method, path)
            .bearer_auth(&token)
            .header("idempotency-key", "planted-key")
    };
    let created = send(Method::POST, "/v1/test/notes")
        .json(&planted)
        .send()
        .await
        .expect("an answer");
    assert_eq!(created.status(), 201);
    planted["planted-field"] = "planted-value".into();
    send(Method::POST, "/v1/test/notes")
        .json(&planted)
        .send()
        .await
        .expect("an answer");
    send(Method::GET, "/v1/test/notes?planted=planted-query")
        .send()
        .await
        .expect("an answer");
    send(Method::GET, "/v1/test/notes/planted-path")
        .send()
        .await
        .expect("an answer");
    app.database.fail_inserts("XX000", 1).await;
    send(Method::POST, "/v1/test/notes")
        .header("idempotency-key", "2")
        .json(&note())
        .send()
        .await
        .expect("an answer");

    let metrics = app.management("/metrics").await.text().await.expect("text");
    for text in [log_lines(), metrics] {
        assert!(
            !text.contains("planted"),
            "{}",
            text.lines().find(|line| line.contains("planted")).expect("found")
        );
        assert!(!text.contains(&token));
        assert!(!text.contains(platform::config::DEVELOPMENT_SECRET));
    }
}
