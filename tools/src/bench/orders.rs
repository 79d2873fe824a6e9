//! The cost of orders: round trips of each kind of request, counted by proxies.

#![expect(
    clippy::disallowed_methods,
    reason = "a tool has no shutdown to wait in, and calls what it started"
)]

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::json;
use testkit::{ProcessEnvironment, Proxy};

use super::megabytes;

/// Measures each kind of request once, with open connections and prepared statements.
pub(super) async fn print(environment: ProcessEnvironment) {
    let postgres = Proxy::to(address("APP__DATABASE__URL")).await;
    let redis = Proxy::to(address("APP__REDIS__URL")).await;
    let database = environment.database.url.replace(
        &address("APP__DATABASE__URL").to_string(),
        &postgres.address.to_string(),
    );
    let environment = environment
        .set("database.url", &database)
        .set("redis.url", &format!("redis://{}", redis.address))
        .set("database.pool_size", "1")
        .set("redis.pool_size", "1")
        .set("cache.max_concurrent_loads", "1")
        .set("rate_limit.burst", "1000000")
        .set("rate_limit.per_second", "1000000");
    let token = environment.token("alice");
    let server = environment.serve();
    server.wait_for_probe("/readyz", 200).await;
    let client = Client::new();
    let request = |method: Method, path: &str| {
        client
            .request(method, format!("{}{path}", server.public))
            .bearer_auth(&token)
    };
    let place = || place_order(&client, &server.public, &token);
    let settled = async || {
        let mut before = (0, 0);
        while before != (postgres.round_trips(), redis.round_trips()) {
            before = (postgres.round_trips(), redis.round_trips());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        before
    };
    let cost = async |what: &str, request: RequestBuilder| {
        let before = settled().await;
        let response = request.send().await.expect("a response");
        let (status, location) = (response.status(), response.headers().get("location").cloned());
        let after = settled().await;
        let (postgres, redis) = (after.0 - before.0, after.1 - before.1);
        if !what.is_empty() {
            println!("{what:<28} {postgres:>5} Postgres, {redis} Redis   ({status})");
        }
        location.map(|path| path.to_str().expect("a path").to_owned())
    };
    // Warm-up, not measured: connections, prepared statements, loaded scripts.
    let path = cost("", place()).await.expect("a location");
    for _ in 0..2 {
        cost("", request(Method::GET, &path)).await;
    }
    cost("", request(Method::GET, "/v1/orders")).await;
    cost("", request(Method::DELETE, &path)).await;

    let path = cost("POST /v1/orders", place()).await.expect("a location");
    cost("GET /v1/orders/{id}, cold", request(Method::GET, &path)).await;
    cost("GET /v1/orders/{id}, cached", request(Method::GET, &path)).await;
    cost("GET /v1/orders", request(Method::GET, "/v1/orders")).await;
    cost("DELETE /v1/orders/{id}", request(Method::DELETE, &path)).await;

    for _ in 0..1_000 {
        request(Method::GET, "/v1/orders")
            .send()
            .await
            .expect("a response");
    }
    println!(
        "memory after 1000 requests   {:>5.1} MB",
        megabytes(server.resident_kib())
    );
}

/// A request that places an order, under a new key.
pub(super) fn place_order(client: &Client, base: &str, token: &str) -> RequestBuilder {
    let request = client.post(format!("{base}/v1/orders")).bearer_auth(token);
    request
        .header("idempotency-key", uuid::Uuid::new_v4().to_string())
        .json(&json!({
            "customer_email": "ada@example.com", "currency": "EUR",
            "items": [{ "sku": "ABC-1234", "quantity": 2, "unit_price_cents": 1999 }]
        }))
}

fn address(variable: &str) -> std::net::SocketAddr {
    let url: reqwest::Url = std::env::var(variable)
        .expect("run this with `make bench-quick`")
        .parse()
        .expect("a URL");
    let addresses = url.socket_addrs(|| Some(if variable.contains("REDIS") { 6379 } else { 5432 }));
    addresses.expect("an address")[0]
}
