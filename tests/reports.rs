//! Jobs of the sample, as their owner meets them: reports and confirmations.

use std::time::{Duration, Instant};

use ::supplier::{Endpoint, Fault};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use testkit::{
    Mode, Span, attribute, canned_server, hex, log_lines_of, new_trace, spans as spans_so_far, wait_for_spans,
};

use crate::{TestApp, assert_problem};
use uuid::Uuid;

use crate::{
    orders::placed,
    supplier::{Shop, shop},
};

const QUEUED: &str = "SELECT count(*) FROM job_runs WHERE slot IS NULL";

async fn order_report(app: &TestApp) -> Response {
    let period = json!({ "from": "2026-01-01", "to": "2026-12-31" });
    app.request(Method::POST, "/v1/reports")
        .json(&period)
        .send()
        .await
        .expect("an answer")
}

/// Asks until the job has this status.
async fn wait_for(app: &TestApp, path: &str, status: &str) -> Value {
    let asked = Instant::now();
    loop {
        let job: Value = app.get(path).await.json().await.expect("JSON");
        if job["status"] == status {
            return job;
        }
        assert!(asked.elapsed() < Duration::from_secs(20), "{job}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The confirmation of the one order there is.
async fn confirmation(shop: &Shop) -> String {
    let id = sqlx::query_scalar::<_, Uuid>("SELECT id FROM job_runs WHERE kind = 'send_confirmation'");
    let id = id
        .fetch_one(&mut shop.database.connect().await)
        .await
        .expect("one confirmation");
    format!("/v1/jobs/{id}")
}

/// The problem types of these jobs, for the loop over the catalogue; tells whether it knows the code.
pub async fn trigger(code: &str) -> bool {
    if code != "notification-rejected" {
        return false;
    }
    let shop = shop(TestApp::build().worker()).await;
    shop.supplier
        .set_fault(Endpoint::Notifications, Some(Fault::Status { status: 422 }));
    placed(&shop).await;
    let job = wait_for(&shop, &confirmation(&shop).await, "failed").await;
    assert_eq!(
        (&job["problem"]["code"], &job["attempts"]),
        (&json!(code), &json!(1))
    );
    true
}

/// A day that the database cannot hold would only fail later, as a job.
#[tokio::test(flavor = "multi_thread")]
async fn a_day_out_of_reach_is_refused_at_once() {
    let app = TestApp::start().await;
    for (from, to) in [("-9999-01-01", "-9999-01-02"), ("+10000-01-01", "+10000-01-02")] {
        let request = app.request(Method::POST, "/v1/reports");
        let response = request.json(&json!({ "from": from, "to": to })).send().await;
        let response = response.expect("an answer");
        assert_problem(response, "/v1/reports", Method::POST, "invalid-request").await;
    }
    assert_eq!(app.database.count(QUEUED).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_does_not_exist_is_not_told_to_be_of_another_type() {
    let app = TestApp::start().await;
    for (from, expected) in [
        (json!("2026-02-30"), "must be of the form in the contract"),
        (json!(20260230), "must be a date"),
    ] {
        let request = app.request(Method::POST, "/v1/reports");
        let response = request
            .json(&json!({ "from": from, "to": "2026-03-01" }))
            .send()
            .await;
        let response = response.expect("an answer");
        let problem = assert_problem(response, "/v1/reports", Method::POST, "invalid-request").await;
        assert_eq!(problem["errors"][0]["detail"], expected, "{from}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_accepted_built_and_read_by_its_owner_alone() {
    let app = TestApp::build().worker().start().await;
    placed(&app).await;
    placed(&app).await;
    let response = order_report(&app).await;
    assert_eq!(response.status(), 202);
    let path = response.headers()["location"]
        .to_str()
        .expect("a path")
        .to_owned();
    let accepted: Value = response.json().await.expect("JSON");
    assert_eq!(
        path,
        format!("/v1/jobs/{}", accepted["job_id"].as_str().expect("an id"))
    );
    let job = wait_for(&app, &path, "succeeded").await;
    let totals = json!([{ "currency": "EUR", "orders": 2, "total_cents": 7996 }]);
    assert_eq!(
        (&job["result"]["currencies"], &job["attempts"]),
        (&totals, &json!(1))
    );
    assert!(job["finished_at"].is_string() && job["problem"].is_null());

    let response = app
        .request_as("mallory", Method::GET, &path)
        .send()
        .await
        .expect("an answer");
    assert_problem(response, "/v1/jobs/{id}", Method::GET, "job-not-found").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_period_that_is_none_is_told() {
    let app = TestApp::start().await;
    let period = json!({ "from": "2026-02-01", "to": "2026-01-01" });
    let response = app
        .request(Method::POST, "/v1/reports")
        .json(&period)
        .send()
        .await
        .expect("an answer");
    let problem = assert_problem(response, "/v1/reports", Method::POST, "invalid-request").await;
    assert_eq!(problem["errors"][0]["code"], "range");
}

#[tokio::test(flavor = "multi_thread")]
async fn rolled_back_it_was_never_queued_and_committed_it_runs() {
    let shop = shop(TestApp::build().worker()).await;
    let refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION 'provoked' USING ERRCODE = '53100'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON idempotency_keys FOR EACH ROW EXECUTE FUNCTION refuse();";
    shop.database.execute(refuse).await;
    // The record comes after the job in the transaction: both go.
    let response = crate::orders::place(&shop, &crate::orders::order()).await;
    assert_problem(response, "/v1/orders", Method::POST, "storage-exhausted").await;
    assert_eq!(shop.database.count(QUEUED).await, 0);
    // The clock's jobs are the worker's own.
    let delivered = "SELECT count(*) FROM graphile_worker._private_jobs AS job
        WHERE NOT EXISTS (SELECT FROM job_runs WHERE id::text = job.payload ->> 'run' AND slot IS NOT NULL)";
    assert_eq!(shop.database.count(delivered).await, 0);

    shop.database
        .execute("DROP TRIGGER refuse ON idempotency_keys")
        .await;
    placed(&shop).await;
    wait_for(&shop, &confirmation(&shop).await, "succeeded").await;
    let notifications = shop.supplier.received().notifications;
    assert_eq!(notifications.into_values().collect::<Vec<_>>(), [1]);
}

/// The request's trace has its statements; the job has a trace of its own, which leads back and goes on at the supplier.
/// The order's id finds the spans of both, and their log lines.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_its_job_and_the_supplier_can_be_followed_by_their_traces() {
    let shop = shop(TestApp::build().worker()).await;
    let (trace_id, traceparent) = new_trace(true);
    let request = shop
        .request(Method::POST, "/v1/orders")
        .json(&crate::orders::order());
    let request = request
        .header("idempotency-key", "traced")
        .header("traceparent", traceparent);
    let response = request.send().await.expect("an answer");
    assert_eq!(response.status(), 201);
    let order: Value = response.json().await.expect("JSON");
    let id = order["id"].as_str().expect("an id");
    let spans = wait_for_spans(&trace_id, |spans| {
        spans.iter().any(|span| span.name.starts_with("POST"))
    })
    .await;
    let of_request = spans.iter().find(|span| span.name.starts_with("POST"));
    assert_eq!(attribute(of_request.expect("waited for"), "order.id"), id);
    assert!(spans.iter().any(|span| span.name == "create_order"), "{spans:?}");

    let began = Instant::now();
    let job = loop {
        let links_back = |span: &Span| span.links.iter().any(|link| hex(&link.trace_id) == trace_id);
        if let Some(job) = spans_so_far().into_iter().find(links_back) {
            break job;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "no job leads back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(
        (job.name.as_str(), attribute(&job, "outcome").as_str()),
        ("job send_confirmation", "succeeded")
    );
    assert_eq!(attribute(&job, "order.id"), id);
    let about = format!("order.id={id}");
    let lines = log_lines_of(&about);
    for message in ["answered", "job ended"] {
        let told = |line: &Value| line["message"] == message && line["about"] == about.as_str();
        assert!(lines.iter().any(told), "{message}: {lines:?}");
    }

    let at_supplier = |spans: &[Span]| spans.iter().any(|span| span.name == "POST /v1/notifications");
    wait_for_spans(&hex(&job.trace_id), at_supplier).await;
}

/// Neither the supplier's words nor the customer's address are kept with a job that has failed.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_job_tells_nothing_of_the_suppliers_or_the_customers() {
    let shop = shop(TestApp::build().worker()).await;
    shop.supplier
        .set_fault(Endpoint::Notifications, Some(Fault::Status { status: 422 }));
    placed(&shop).await;
    let path = confirmation(&shop).await;
    let answered = wait_for(&shop, &path, "failed").await;
    let id: Uuid = path.rsplit('/').next().expect("an id").parse().expect("an id");
    let (_, _, error) = shop.database.job(id).await;
    for text in [answered.to_string(), error] {
        for secret in ["supplier-internal", "NullPointerException", "ada@example.com"] {
            assert!(!text.contains(secret), "`{secret}` in {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supplier_that_comes_back_gets_its_notification_once_by_key() {
    let shop = shop(TestApp::build().worker().set("upstream.breaker_calls", "1000")).await;
    shop.supplier
        .set_fault(Endpoint::Notifications, Some(Fault::Status { status: 500 }));
    placed(&shop).await;
    let path = confirmation(&shop).await;
    let id: Uuid = path.rsplit('/').next().expect("an id").parse().expect("an id");
    while shop.database.job(id).await.2.is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    shop.supplier.set_fault(Endpoint::Notifications, None);
    let job = wait_for(&shop, &path, "succeeded").await;
    assert!(job["attempts"].as_i64().expect("a number") >= 2);
    assert_eq!(
        shop.supplier.received().notifications.get(&id.to_string()),
        Some(&1)
    );
}

/// The supplier's gateway knows no such path, or our request is wrong: neither is the customer's fault, and the
/// confirmation is not given up.
#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_outlasts_a_supplier_that_is_misrouted() {
    for status in [404, 405, 400] {
        let shop = shop(TestApp::build().worker().set("upstream.breaker_calls", "1000")).await;
        shop.supplier
            .set_fault(Endpoint::Notifications, Some(Fault::Status { status }));
        placed(&shop).await;
        let path = confirmation(&shop).await;
        let judged = "SELECT count(*) FROM job_runs
            WHERE kind = 'send_confirmation' AND (last_error IS NOT NULL OR finished_at IS NOT NULL)";
        shop.database.wait_until(judged, |judged| judged == 1).await;
        shop.supplier.set_fault(Endpoint::Notifications, None);
        wait_for(&shop, &path, "succeeded").await;
    }
}

/// Under a key of ours a conflict means that the first call with it is still running, whether it says so or not.
#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_under_our_key_is_waited_for() {
    let shop = shop(TestApp::build().worker()).await;
    shop.supplier
        .set_fault(Endpoint::Notifications, Some(Fault::Status { status: 409 }));
    placed(&shop).await;
    let path = confirmation(&shop).await;
    let throttled =
        "dependency_request_duration_seconds_count{dependency=\"supplier\",outcome=\"throttled\"}";
    let began = Instant::now();
    while shop.metric(throttled).await < 1.0 {
        assert!(began.elapsed() < Duration::from_secs(20), "it is not asked");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    shop.supplier.set_fault(Endpoint::Notifications, None);
    wait_for(&shop, &path, "succeeded").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_without_a_query() {
    let app = TestApp::build()
        .postgres_proxy()
        .set("jobs.queue_limit", "1")
        .start()
        .await;
    placed(&app).await;
    let began = Instant::now();
    while app.metric("jobs_queued").await < 1.0 {
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "the gauge does not follow"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // A query would be 503, too, with another code.
    app.postgres.as_ref().expect("asked for").set(Mode::Cut);
    assert_problem(
        order_report(&app).await,
        "/v1/reports",
        Method::POST,
        "overloaded",
    )
    .await;
    let response = crate::orders::place(&app, &crate::orders::order()).await;
    assert_problem(response, "/v1/orders", Method::POST, "overloaded").await;
}

/// A first call with the same key that is still running is no refusal.
#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_that_asks_to_wait_is_waited_for() {
    let conflict =
        "HTTP/1.1 409 Conflict\r\nretry-after: Fri, 31 Dec 2100 23:59:59 GMT\r\ncontent-length: 0\r\n\r\n";
    let (port, mut requests) = canned_server(conflict).await;
    let app = TestApp::build()
        .worker()
        .set("supplier.url", &format!("http://127.0.0.1:{port}"));
    let app = app.start().await;
    crate::orders::placed(&app).await;
    requests.recv().await.expect("a request");
    let judged = "SELECT count(*) FROM job_runs WHERE kind = 'send_confirmation' AND status <> 'running'";
    app.database.wait_until(judged, |judged| judged == 1).await;
    // An hour is the longest that anybody is believed.
    let waiting = "SELECT count(*) FROM job_runs
        WHERE kind = 'send_confirmation' AND status = 'queued' AND due_at > now() + interval '59 minutes'";
    assert_eq!(app.database.count(waiting).await, 1);
}
