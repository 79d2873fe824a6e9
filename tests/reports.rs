//! The jobs of the sample, as a client sees them: reports and confirmations.

use std::time::{Duration, Instant};

use ::supplier::{Endpoint, Fault};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use testkit::{
    Span, attribute, hex, log_lines_of, new_trace, spans as spans_so_far, stub_server, wait_for_spans,
};

use crate::{TestApp, assert_problem};
use uuid::Uuid;

use crate::{
    orders::placed,
    supplier::{Shop, shop},
};

/// Scheduled jobs, which the worker enqueues itself, are not counted.
const ENQUEUED: &str = "SELECT count(*) FROM job_runs WHERE subject IS NOT NULL";

async fn request_report(app: &TestApp) -> Response {
    let period = json!({ "from": "2026-01-01", "to": "2026-12-31" });
    request_report_with(app, &Uuid::new_v4().to_string(), &period).await
}

async fn request_report_with(app: &TestApp, key: &str, period: &Value) -> Response {
    let request = app
        .request(Method::POST, "/v1/reports")
        .header("idempotency-key", key);
    request.json(period).send().await.expect("a response")
}

/// Polls the job until it has this status.
async fn wait_for(app: &TestApp, path: &str, status: &str) -> Value {
    let began = Instant::now();
    loop {
        let job: Value = app.get(path).await.json().await.expect("JSON");
        if job["status"] == status {
            return job;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{job}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The path of the only confirmation job.
async fn confirmation(shop: &Shop) -> String {
    let id = sqlx::query_scalar::<_, Uuid>("SELECT id FROM job_runs WHERE kind = 'send_confirmation'");
    let id = id
        .fetch_one(&mut shop.database.connect().await)
        .await
        .expect("one confirmation");
    format!("/v1/jobs/{id}")
}

/// Triggers the problem types of these jobs, for the loop over the catalogue; returns whether `code` is one of them.
pub(crate) async fn trigger(code: &str) -> bool {
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

/// Without this check the job would fail: Postgres cannot store such a date.
#[tokio::test(flavor = "multi_thread")]
async fn a_date_that_postgres_cannot_store_is_refused_immediately() {
    let app = TestApp::start().await;
    for (from, to) in [("-9999-01-01", "-9999-01-02"), ("+10000-01-01", "+10000-01-02")] {
        let response = request_report_with(&app, "key", &json!({ "from": from, "to": to })).await;
        assert_problem(response, "/v1/reports", Method::POST, "invalid-request").await;
    }
    assert_eq!(app.database.count(ENQUEUED).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_date_that_does_not_exist_is_not_reported_as_a_wrong_type() {
    let app = TestApp::start().await;
    for (from, expected) in [
        (
            json!("2026-02-30"),
            "must be in the format that the contract specifies",
        ),
        (json!(20_260_230), "must be a date"),
    ] {
        let response = request_report_with(&app, "key", &json!({ "from": from, "to": "2026-03-01" })).await;
        let problem = assert_problem(response, "/v1/reports", Method::POST, "invalid-request").await;
        assert_eq!(problem["errors"][0]["detail"], expected, "{from}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_accepted_built_and_readable_only_by_its_owner() {
    let app = TestApp::build().worker().start().await;
    placed(&app).await;
    placed(&app).await;
    let response = request_report(&app).await;
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
        .expect("a response");
    assert_problem(response, "/v1/jobs/{id}", Method::GET, "job-not-found").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_period_that_ends_before_it_starts_is_refused() {
    let app = TestApp::start().await;
    let period = json!({ "from": "2026-02-01", "to": "2026-01-01" });
    let response = request_report_with(&app, "key", &period).await;
    let problem = assert_problem(response, "/v1/reports", Method::POST, "invalid-request").await;
    assert_eq!(problem["errors"][0]["code"], "range");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_only_if_its_transaction_commits() {
    let shop = shop(TestApp::build().worker()).await;
    let refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION 'provoked' USING ERRCODE = '53100'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON idempotency_keys FOR EACH ROW EXECUTE FUNCTION refuse();";
    shop.database.execute(refuse).await;
    // The transaction writes the idempotency record after the job: both are rolled back.
    let response = crate::orders::place(&shop, &crate::orders::order()).await;
    assert_problem(response, "/v1/orders", Method::POST, "storage-exhausted").await;
    assert_eq!(shop.database.count(ENQUEUED).await, 0);

    shop.database
        .execute("DROP TRIGGER refuse ON idempotency_keys")
        .await;
    placed(&shop).await;
    wait_for(&shop, &confirmation(&shop).await, "succeeded").await;
    let notifications = shop.supplier.received().notifications;
    assert_eq!(notifications.into_values().collect::<Vec<_>>(), [1]);
}

/// The trace of the request has its statements. The job has a trace of its own, which links to that of the request and
/// continues at the supplier. The id of the order is on the spans and log lines of both.
#[tokio::test(flavor = "multi_thread")]
async fn traces_connect_an_order_with_its_job_and_the_supplier() {
    let shop = shop(TestApp::build().worker()).await;
    let (trace_id, traceparent) = new_trace(true);
    let request = shop
        .request(Method::POST, "/v1/orders")
        .json(&crate::orders::order());
    let request = request
        .header("idempotency-key", "traced")
        .header("traceparent", traceparent);
    let response = request.send().await.expect("a response");
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
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "no job links to the request"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(
        (job.name.as_str(), attribute(&job, "outcome").as_str()),
        ("job send_confirmation", "succeeded")
    );
    assert_eq!(attribute(&job, "order.id"), id);
    let about = format!("order.id={id}");
    let lines = log_lines_of(&about);
    for message in ["request completed", "job ended"] {
        let matches = |line: &Value| line["message"] == message && line["about"] == about.as_str();
        assert!(lines.iter().any(matches), "{message}: {lines:?}");
    }

    let at_supplier = |spans: &[Span]| spans.iter().any(|span| span.name == "POST /v1/notifications");
    wait_for_spans(&hex(&job.trace_id), at_supplier).await;
}

/// A failed job stores neither text of the supplier nor the address of the customer.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_job_reveals_no_data_of_the_supplier_or_the_customer() {
    let shop = shop(TestApp::build().worker()).await;
    shop.supplier
        .set_fault(Endpoint::Notifications, Some(Fault::Status { status: 422 }));
    placed(&shop).await;
    let path = confirmation(&shop).await;
    let job = wait_for(&shop, &path, "failed").await;
    let id: Uuid = path.rsplit('/').next().expect("an id").parse().expect("an id");
    let (_, _, error) = shop.database.job(id).await;
    for text in [job.to_string(), error] {
        for secret in ["supplier-internal", "NullPointerException", "ada@example.com"] {
            assert!(!text.contains(secret), "`{secret}` in {text}");
        }
    }
}

/// The supplier accepts a notification and its response is lost: the job sends it again, with the same key, by which the
/// supplier recognizes it.
#[tokio::test(flavor = "multi_thread")]
async fn a_notification_whose_response_was_lost_is_sent_again_with_its_key() {
    let shop = shop(
        TestApp::build()
            .worker()
            .set("supplier.breaker_min_calls", "1000"),
    )
    .await;
    shop.supplier
        .set_fault(Endpoint::Notifications, Some(Fault::ResponseLost));
    placed(&shop).await;
    let path = confirmation(&shop).await;
    let id: Uuid = path.rsplit('/').next().expect("an id").parse().expect("an id");
    let failed = "SELECT count(*) FROM job_runs WHERE kind = 'send_confirmation' AND failures > 0";
    shop.database.wait_until(failed, |failed| failed == 1).await;
    shop.supplier.set_fault(Endpoint::Notifications, None);
    let job = wait_for(&shop, &path, "succeeded").await;
    assert!(job["attempts"].as_i64().expect("a number") >= 2);
    let notifications = shop.supplier.received().notifications;
    assert_eq!(
        notifications.keys().collect::<Vec<_>>(),
        [&id.to_string()],
        "one key"
    );
    assert!(
        notifications[&id.to_string()] >= 2,
        "sent again: {notifications:?}"
    );
}

/// The supplier's gateway does not know the path, or the request of the service is wrong. Neither is an error of the
/// customer, so the confirmation is retried.
#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_is_retried_while_the_supplier_is_misrouted() {
    for status in [404, 405, 400] {
        let shop = shop(
            TestApp::build()
                .worker()
                .set("supplier.breaker_min_calls", "1000"),
        )
        .await;
        shop.supplier
            .set_fault(Endpoint::Notifications, Some(Fault::Status { status }));
        placed(&shop).await;
        let path = confirmation(&shop).await;
        let attempted = "SELECT count(*) FROM job_runs
            WHERE kind = 'send_confirmation' AND (last_error IS NOT NULL OR finished_at IS NOT NULL)";
        shop.database.wait_until(attempted, |count| count == 1).await;
        shop.supplier.set_fault(Endpoint::Notifications, None);
        wait_for(&shop, &path, "succeeded").await;
    }
}

/// A 409 to a call with an idempotency key means that the first call with this key is still running, even without
/// `Retry-After`.
#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_on_an_idempotency_key_is_waited_for() {
    let shop = shop(TestApp::build().worker()).await;
    shop.supplier
        .set_fault(Endpoint::Notifications, Some(Fault::Status { status: 409 }));
    placed(&shop).await;
    let path = confirmation(&shop).await;
    let throttled =
        "dependency_request_duration_seconds_count{dependency=\"supplier\",outcome=\"throttled\"}";
    let began = Instant::now();
    while shop.metric(throttled).await < 1.0 {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "the supplier is not called"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    shop.supplier.set_fault(Endpoint::Notifications, None);
    wait_for(&shop, &path, "succeeded").await;
}

/// A full queue refuses new work. A repeated request, which asks what became of the first one, gets its response.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_new_work_and_no_repeated_request() {
    let app = TestApp::build().set("jobs.max_queued", "1").start().await;
    let period = json!({ "from": "2026-01-01", "to": "2026-12-31" });
    let first = request_report_with(&app, "first", &period).await;
    assert_eq!(first.status(), 202);
    let began = Instant::now();
    while app.app.platform.queue.admit().is_ok() {
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "the depth is not updated"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_problem(
        request_report(&app).await,
        "/v1/reports",
        Method::POST,
        "overloaded",
    )
    .await;
    let response = crate::orders::place(&app, &crate::orders::order()).await;
    assert_problem(response, "/v1/orders", Method::POST, "overloaded").await;
    let repeated = request_report_with(&app, "first", &period).await;
    assert_eq!(repeated.headers()["idempotency-replayed"], "true");
    assert_eq!(repeated.headers()["location"], first.headers()["location"]);
}

/// A 409 with `Retry-After` means that the first call with the same key is still running; it is no refusal.
#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_that_asks_to_wait_is_waited_for() {
    let conflict =
        "HTTP/1.1 409 Conflict\r\nretry-after: Fri, 31 Dec 2100 23:59:59 GMT\r\ncontent-length: 0\r\n\r\n";
    let (port, mut requests) = stub_server(conflict).await;
    let app = TestApp::build()
        .worker()
        .set("supplier.url", &format!("http://127.0.0.1:{port}"));
    let app = app.start().await;
    crate::orders::placed(&app).await;
    requests.recv().await.expect("a request");
    let ended = "SELECT count(*) FROM job_runs WHERE kind = 'send_confirmation' AND status <> 'running'";
    app.database.wait_until(ended, |count| count == 1).await;
    // The wait is capped at one hour.
    let waiting = "SELECT count(*) FROM job_runs
        WHERE kind = 'send_confirmation' AND status = 'queued' AND due_at > now() + interval '59 minutes'";
    assert_eq!(app.database.count(waiting).await, 1);
}
