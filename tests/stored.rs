//! JSON in columns survives an upgrade and a rollback: old and new pods read the same rows. `stored.json` has what this
//! release stores.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    TestApp,
    orders::{order, place},
};

/// What this release stores, or another release: `dev/compat` names the file in `STORED`.
fn stored() -> Value {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/stored.json");
    let file = std::env::var("STORED").unwrap_or_else(|_| own.to_owned());
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_json_of_a_release_can_be_read() {
    let app = TestApp::start().await;
    let mut of_a_newer_release = stored()["orders.items"].clone();
    of_a_newer_release[0]["discount_cents"] = json!(100);
    for items in [stored()["orders.items"].clone(), of_a_newer_release] {
        let id = Uuid::now_v7();
        let insert = format!(
            "INSERT INTO orders (id, subject, customer_email, currency, items, total_cents)
             VALUES ('{id}', 'alice', 'ada@example.com', 'EUR', '{items}', 3998)"
        );
        app.database.execute(&insert).await;
        let path = format!("/v1/orders/{id}");
        let read = app.get(&path).await;
        assert_eq!(read.status(), 200, "{items}");
        let read: Value = read.json().await.expect("JSON");
        assert_eq!(read["items"][0]["sku"], items[0]["sku"]);
        assert_eq!(app.get("/v1/orders").await.status(), 200, "{items}");
        let cancelled = app.request(Method::DELETE, &path).send().await;
        assert_eq!(cancelled.expect("a response").status(), 204, "{items}");
    }
}

/// A new field must be in the sample, too: the release before is asked whether it reads the sample.
#[tokio::test(flavor = "multi_thread")]
async fn the_sample_has_every_field_that_is_stored() {
    let app = TestApp::start().await;
    assert_eq!(place(&app, &order()).await.status(), 201);
    let items: Value = sqlx::query_scalar("SELECT items FROM orders")
        .fetch_one(&mut app.database.connect().await)
        .await
        .expect("the order");
    let own: Value = serde_json::from_str(include_str!("stored.json")).expect("JSON");
    let fields = |items: &Value| {
        items[0]
            .as_object()
            .map(|item| item.keys().cloned().collect::<Vec<_>>())
    };
    assert_eq!(fields(&items), fields(&own["orders.items"]));
}
