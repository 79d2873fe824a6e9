//! `?include=delivery`: an order is returned with its delivery estimate, or without it if the supplier fails.

use ::supplier::{Endpoint, Fault};
use reqwest::Method;
use serde_json::{Value, json};

use crate::assert_problem;

use crate::supplier::{set, shop, without_breaker};

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_returned_even_if_the_supplier_provides_no_delivery() {
    let app = shop(without_breaker().set("supplier.attempt_timeout", "150ms")).await;
    let path = crate::orders::placed(&app).await;
    let read = async |query: &str| -> Value {
        let response = app.get(&format!("{path}{query}")).await;
        assert_eq!(response.status(), 200);
        response.json().await.expect("JSON")
    };
    assert!(read("").await.get("delivery").is_none(), "only on request");

    set(&app, Endpoint::Deliveries, Fault::Hang);
    let order = read("?include=delivery").await;
    assert_eq!(
        (&order["delivery"], &order["degraded"]),
        (&Value::Null, &json!(["delivery"]))
    );

    set(&app, Endpoint::Deliveries, None);
    let order = read("?include=delivery").await;
    let estimated_on = order["delivery"]["estimated_on"].clone();
    assert!(
        estimated_on.is_string() && order.get("degraded").is_none(),
        "{order}"
    );
    assert!(order["delivery"].get("age_seconds").is_none());

    app.wait_for_cache_writes().await;
    for status in [500, 400] {
        set(&app, Endpoint::Deliveries, Fault::Status { status });
        let order = read("?include=delivery").await;
        assert_eq!(
            order["delivery"]["estimated_on"], estimated_on,
            "the last known estimate: {status}"
        );
        assert!(order["delivery"]["age_seconds"].as_u64().expect("the age") < 60);
        assert_eq!(order["degraded"], json!(["delivery"]));
    }
    // The supplier does not know the order. That is a valid response, so nothing is degraded.
    set(&app, Endpoint::Deliveries, Fault::Status { status: 404 });
    let order = read("?include=delivery").await;
    assert!(
        order["delivery"].is_null() && order.get("degraded").is_none(),
        "{order}"
    );

    let response = app.get(&format!("{path}?include=everything")).await;
    let problem = assert_problem(response, "/v1/orders/{id}", Method::GET, "invalid-query").await;
    let expected = "must be one of the values in the contract";
    assert_eq!(problem["errors"][0]["detail"], expected);
}
