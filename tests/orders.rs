//! The sample resource, as a client uses it.

use std::collections::HashSet;

use api_client::{Client, Item, Key, NewOrder, ProblemCode, Settings};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::{TestApp, assert_problem};

/// A valid order.
pub(crate) fn order() -> Value {
    json!({
        "customer_email": "ada@example.com", "currency": "EUR", "note": null,
        "items": [{ "sku": "ABC-1234", "quantity": 2, "unit_price_cents": 1999 }]
    })
}

/// Places an order.
pub(crate) async fn place(app: &TestApp, order: &Value) -> Response {
    let request = app
        .request(Method::POST, "/v1/orders")
        .header("idempotency-key", uuid::Uuid::new_v4().to_string());
    request.json(order).send().await.expect("a response")
}

/// Places an order and returns its path.
pub(crate) async fn placed(app: &TestApp) -> String {
    let response = place(app, &order()).await;
    assert_eq!(response.status(), 201);
    response.headers()["location"]
        .to_str()
        .expect("a path")
        .to_owned()
}

/// Triggers the problem types of orders, for the loop over the catalogue; returns whether `code` is one of them.
pub(crate) async fn trigger(code: &str) -> bool {
    let app = TestApp::start().await;
    let path = match code {
        "order-not-found" => "/v1/orders/01981f6e-7c1a-7a3e-9d55-3a0a2b6f6c10".to_owned(),
        "order-gone" => {
            let path = placed(&app).await;
            assert_eq!(app.delete(&path).await.status(), 204);
            path
        }
        _ => return false,
    };
    assert_problem(app.get(&path).await, "/v1/orders/{id}", Method::GET, code).await;
    assert_problem(app.delete(&path).await, "/v1/orders/{id}", Method::DELETE, code).await;
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_placed_read_listed_and_cancelled() {
    let app = TestApp::start().await;
    let response = place(&app, &order()).await;
    assert_eq!(response.status(), 201);
    let path = response.headers()["location"]
        .to_str()
        .expect("a path")
        .to_owned();
    let placed: Value = response.json().await.expect("JSON");
    assert_eq!(
        path,
        format!("/v1/orders/{}", placed["id"].as_str().expect("an id"))
    );
    assert_eq!(
        (&placed["total_cents"], &placed["status"]),
        (&json!(3998), &json!("pending"))
    );

    for cached in [false, true] {
        let read: Value = app.get(&path).await.json().await.expect("JSON");
        assert_eq!(read, placed, "cached: {cached}");
    }
    let page: Value = app.get("/v1/orders").await.json().await.expect("JSON");
    assert_eq!(page, json!({ "items": [placed], "next_cursor": null }));

    assert_eq!(app.delete(&path).await.status(), 204);
    assert_eq!(app.get(&path).await.status(), 410);
    let page: Value = app.get("/v1/orders").await.json().await.expect("JSON");
    assert_eq!(page["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_another_subject_is_not_found() {
    let app = TestApp::start().await;
    let path = placed(&app).await;
    assert_eq!(app.get(&path).await.status(), 200, "the order is cached");
    for method in [Method::GET, Method::DELETE] {
        let response = app
            .request_as("mallory", method.clone(), &path)
            .send()
            .await
            .expect("a response");
        assert_problem(response, "/v1/orders/{id}", method, "order-not-found").await;
    }
    let page = app
        .request_as("mallory", Method::GET, "/v1/orders")
        .send()
        .await
        .expect("a response");
    assert_eq!(page.json::<Value>().await.expect("JSON")["items"], json!([]));
    assert_eq!(app.get(&path).await.status(), 200, "the order is not cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_return_every_order_once_newest_first() {
    let app = TestApp::start().await;
    let mut expected = Vec::new();
    for _ in 0..7 {
        expected.push(placed(&app).await);
    }
    let (mut seen, mut query) = (Vec::new(), "limit=3".to_owned());
    loop {
        let page: Value = app
            .get(&format!("/v1/orders?{query}"))
            .await
            .json()
            .await
            .expect("JSON");
        let ids = page["items"].as_array().expect("items").iter();
        seen.extend(ids.map(|order| format!("/v1/orders/{}", order["id"].as_str().expect("an id"))));
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        query = format!("limit=3&cursor={cursor}");
    }
    expected.reverse();
    assert_eq!(seen, expected);
    assert_eq!(seen.iter().collect::<HashSet<_>>().len(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_violation_is_reported_with_its_pointer_and_without_the_value() {
    let app = TestApp::start().await;
    let item = |changes: Value| {
        merged(
            json!({ "sku": "ABC-1234", "quantity": 1, "unit_price_cents": 1 }),
            changes,
        )
    };
    let with = |changes: Value| merged(order(), changes);
    // The body, and the pointer and code of the error that it causes.
    let cases = [
        (
            with(json!({ "customer_email": "XnobodyX" })),
            "/customer_email",
            "email",
        ),
        (
            with(json!({ "customer_email": "a@b\r\n[127.0.0.1]" })),
            "/customer_email",
            "email",
        ),
        (with(json!({ "note": "nothing\0here" })), "/note", "character"),
        (with(json!({ "currency": "XeurX" })), "/currency", "pattern"),
        (with(json!({ "items": [] })), "/items", "length"),
        (
            with(json!({ "items": vec![item(json!({})); 51] })),
            "/items",
            "length",
        ),
        (
            with(json!({ "items": [item(json!({ "sku": "XsmallX" }))] })),
            "/items/0/sku",
            "pattern",
        ),
        (
            with(json!({ "items": [item(json!({ "quantity": 0 }))] })),
            "/items/0/quantity",
            "range",
        ),
        (
            with(json!({ "items": [item(json!({ "quantity": 1001 }))] })),
            "/items/0/quantity",
            "range",
        ),
        (
            with(json!({ "items": [item(json!({ "unit_price_cents": 0 }))] })),
            "/items/0/unit_price_cents",
            "range",
        ),
        (with(json!({ "note": "x".repeat(501) })), "/note", "length"),
        (with(json!({ "note": 1 })), "/note", "type"),
        (
            with(json!({ "items": [item(json!({ "quantity": "XfewX" }))] })),
            "/items/0/quantity",
            "type",
        ),
        (
            with(json!({ "items": [{ "sku": "ABC-1234", "quantity": 1 }] })),
            "/items/0/unit_price_cents",
            "missing",
        ),
        (with(json!({ "coupon": "XfreeX" })), "/coupon", "unknown-field"),
    ];
    for (body, pointer, rule) in cases {
        let problem = assert_problem(
            place(&app, &body).await,
            "/v1/orders",
            Method::POST,
            "invalid-request",
        )
        .await;
        let errors = problem["errors"].as_array().expect("errors");
        assert_eq!(errors.len(), 1, "{problem}");
        assert_eq!(
            (errors[0]["pointer"].as_str(), errors[0]["code"].as_str()),
            (Some(pointer), Some(rule))
        );
        assert!(
            !problem.to_string().contains('X'),
            "the response contains the value: {problem}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_violations_are_reported_in_one_response() {
    let app = TestApp::start().await;
    let body = merged(
        order(),
        json!({ "customer_email": "ada", "currency": "eur", "items": [] }),
    );
    let problem = assert_problem(
        place(&app, &body).await,
        "/v1/orders",
        Method::POST,
        "invalid-request",
    )
    .await;
    let pointers: Vec<_> = problem["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|error| &error["pointer"])
        .collect();
    assert_eq!(pointers, ["/currency", "/customer_email", "/items"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_json_is_malformed_even_after_a_value_of_the_wrong_type() {
    let app = TestApp::start().await;
    for body in [
        &b"{"[..],
        b"",
        b"{\"items\": 1, ",
        b"{\"customer_email\": \"\xff\"}",
        b"{} x",
    ] {
        let request = app
            .request(Method::POST, "/v1/orders")
            .header("idempotency-key", "k");
        let request = request
            .header("content-type", "application/json")
            .body(body.to_vec());
        let response = request.send().await.expect("a response");
        let problem = assert_problem(response, "/v1/orders", Method::POST, "malformed-json").await;
        assert!(problem.get("errors").is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_invalid_parameter_is_reported_by_name() {
    let app = TestApp::start().await;
    let cases = [
        ("limit=0", "limit", "range"),
        ("limit=101", "limit", "range"),
        ("limit=XmanyX", "limit", "type"),
        ("cursor=XoldX", "cursor", "type"),
        ("cursor=%FF", "cursor", "type"),
        ("colour=XredX", "colour", "unknown-field"),
        ("limit=1&limit=2", "limit", "duplicate-field"),
        ("cursor=%00", "cursor", "character"),
    ];
    for (query, parameter, rule) in cases {
        let response = app.get(&format!("/v1/orders?{query}")).await;
        let problem = assert_problem(response, "/v1/orders", Method::GET, "invalid-query").await;
        assert_eq!(problem["errors"][0]["parameter"], parameter, "{problem}");
        assert_eq!(problem["errors"][0]["code"], rule, "{problem}");
        assert!(
            !problem.to_string().contains('X'),
            "the response contains the value: {problem}"
        );
    }
    for path in ["/v1/orders/XnoneX", "/v1/orders/%FF", "/v1/orders/%00"] {
        let problem = assert_problem(
            app.get(path).await,
            "/v1/orders/{id}",
            Method::GET,
            "invalid-path",
        )
        .await;
        assert_eq!(problem["errors"][0]["parameter"], "id");
        assert!(!problem.to_string().contains('X'));
    }
}

fn merged(mut object: Value, changes: Value) -> Value {
    let changes = changes.as_object().expect("an object").clone();
    object.as_object_mut().expect("an object").extend(changes);
    object
}

#[tokio::test(flavor = "multi_thread")]
async fn the_typed_client_places_reads_lists_and_cancels_orders() {
    let app = TestApp::start().await;
    let token = app.token("alice", "orders:read orders:write");
    let client = Client::new(&app.url, token, Settings::default()).expect("a client");
    let new = NewOrder {
        customer_email: "ada@example.com".into(),
        currency: "EUR".into(),
        items: vec![Item {
            sku: "ABC-1234".into(),
            quantity: 2,
            unit_price_cents: 1999,
        }],
        note: None,
    };
    let placed = client.create_order(&"k".into(), &new).await.expect("placed");
    assert_eq!(
        client.create_order(&"k".into(), &new).await.expect("replayed"),
        placed
    );
    assert_eq!(client.order(placed.id).await.expect("read").value, placed);
    assert_eq!(
        client.orders(20, None).await.expect("listed").value.items,
        std::slice::from_ref(&placed)
    );
    client.cancel_order(placed.id).await.expect("cancelled");
    let gone = client.order(placed.id).await.expect_err("the order is cancelled");
    assert_eq!(gone.problem().expect("a problem").code, ProblemCode::OrderGone);

    let wrong = NewOrder {
        items: Vec::new(),
        ..new
    };
    let refused = client
        .create_order(&Key::new(), &wrong)
        .await
        .expect_err("no items");
    let errors = &refused.problem().expect("a problem").errors;
    assert_eq!(errors[0].pointer.as_deref(), Some("/items"));
    assert_eq!(refused.attempts.len(), 1);
}
