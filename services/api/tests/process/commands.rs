//! Subcommands: results on standard output, messages on standard error, and exit codes.

use std::{os::unix::process::ExitStatusExt, process::Output, time::Duration};

use serde_json::{Value, json};
use testkit::{Mode, Proxy};

use super::environment;

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn wrong_usage_exits_with_2_and_help_with_0() {
    let environment = environment().await;
    assert_eq!(environment.run(&["surve"]).status.code(), Some(2));
    let help = environment.run(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(
        out(&help).starts_with("A service in which every request ends in a designed outcome\n"),
        "{}",
        out(&help)
    );
    for command in [
        "serve", "work", "migrate", "check", "probe", "problems", "openapi", "token",
    ] {
        assert!(out(&help).contains(command), "{command}");
    }
}

#[tokio::test]
async fn every_command_reports_all_configuration_errors_in_one_run() {
    let environment = environment()
        .await
        .set("http.port", "80800")
        .set("database.statement_timeout", "fast")
        .set("http.prot", "1");
    for command in ["check", "serve", "migrate"] {
        let output = environment.run(&[command]);
        assert_eq!(output.status.code(), Some(1), "{command}");
        let printed = out(&output) + &err(&output);
        for key in ["http.port", "database.statement_timeout", "http.prot"] {
            assert!(
                printed.contains(key),
                "{command} does not report {key}: {printed}"
            );
        }
    }
}

#[tokio::test]
async fn check_passes_once_the_database_is_migrated() {
    let environment = environment().await;
    let before = environment.run(&["check"]);
    assert_eq!(before.status.code(), Some(1));
    assert!(out(&before).contains("run `api migrate`"), "{}", out(&before));

    let migrated = environment.run(&["migrate"]);
    assert_eq!(migrated.status.code(), Some(0), "{}", err(&migrated));
    let again = environment.run(&["migrate"]);
    assert_eq!(again.status.code(), Some(0));
    assert!(err(&again).starts_with("0 migration(s)"), "{}", err(&again));

    let after = environment.run(&["check"]);
    assert_eq!(after.status.code(), Some(0), "{}", out(&after));
    let printed = out(&after);
    for line in [
        "ok     timeouts: client 25s > ingress 15s > largest deadline 10s >= deadline 3s >= 3 attempts",
        "ok     connections: keep-alive 75s > ingress idle 1m",
        "ok     shutdown: grace 35s > steps 33s",
        "ok     postgres: 1",
        "ok     redis: ",
    ] {
        assert!(printed.contains(line), "{line} in\n{printed}");
    }
    assert!(printed.contains("not encrypted"), "{printed}");
}

#[tokio::test]
async fn check_and_migrate_report_an_unreachable_database_without_its_password() {
    let environment = environment().await.set(
        "database.url",
        "postgres://someone:planted-password@127.0.0.1:1/nothing",
    );
    for command in ["check", "migrate"] {
        let output = environment.run(&[command]);
        assert_eq!(output.status.code(), Some(1), "{command}");
        let printed = out(&output) + &err(&output);
        assert!(printed.contains("cannot be reached"), "{printed}");
        assert!(!printed.contains("planted-password"), "{printed}");
    }
}

/// The network may admit a new pod to the database only after a moment.
#[tokio::test(flavor = "multi_thread")]
async fn migrate_waits_until_the_database_is_reachable() {
    let environment = environment().await;
    let (proxy, url) = Proxy::before(&environment.database.url).await;
    proxy.set(Mode::Cut);
    let environment = environment.set("database.url", &url);
    let migrate = tokio::task::spawn_blocking(move || (environment.run(&["migrate"]), environment));
    while proxy.accepted() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    proxy.set(Mode::Pass);
    let (migrated, _environment) = migrate.await.expect("no panic");
    assert_eq!(migrated.status.code(), Some(0), "{}", err(&migrated));
}

/// An error that Postgres returns is not reported as an unreachable database.
#[tokio::test]
async fn check_reports_the_error_of_the_database() {
    let environment = environment().await;
    let missing = format!("{}_missing", environment.database.url);
    let environment = environment.set("database.url", &missing);
    let output = environment.run(&["check"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(out(&output).contains("does not exist"), "{}", out(&output));
}

#[tokio::test]
async fn check_reports_an_unavailable_redis_but_passes() {
    let environment = environment().await;
    assert!(environment.run(&["migrate"]).status.success());
    let environment = environment.set("redis.url", "redis://127.0.0.1:1");
    let output = environment.run(&["check"]);
    assert_eq!(output.status.code(), Some(0), "{}", out(&output));
    assert!(out(&output).contains("redis: unavailable"), "{}", out(&output));
}

#[tokio::test]
async fn token_prints_only_the_token_and_only_in_development() {
    let environment = environment().await;
    let output = environment.run(&["token", "--subject", "alice"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        out(&output).trim().split('.').count(),
        3,
        "a JWT and nothing else"
    );
    assert_eq!(out(&output).lines().count(), 1);

    let without_database = environment.set("database.url", "").set("redis.url", "");
    let output = without_database.run(&["token", "--subject", "alice"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));

    let production = without_database
        .set("service.environment", "production")
        .set("auth.secret", "0123456789abcdef0123456789abcdef")
        .set("auth.hash_key", "0123456789abcdef0123456789abcdef")
        .set("auth.issuer", "https://issuer.test")
        .set("auth.audience", "orders")
        .set("http.trusted_proxies", "none");
    let output = production.run(&["token", "--subject", "alice"]);
    assert_eq!((output.status.code(), out(&output)), (Some(1), String::new()));
    assert!(err(&output).contains("only in development"), "{}", err(&output));
}

#[tokio::test]
async fn serve_refuses_the_development_secret_in_production() {
    let environment = environment().await.set("service.environment", "production");
    let output = environment.run(&["serve"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("auth.secret"), "{}", err(&output));
}

#[tokio::test]
async fn contract_and_catalogue_are_printed_as_json() {
    let environment = environment().await;
    let contract: Value = serde_json::from_slice(&environment.run(&["openapi"]).stdout).expect("JSON");
    assert!(contract["paths"].is_object());
    let rows: Value = serde_json::from_slice(&environment.run(&["problems", "--json"]).stdout).expect("JSON");
    assert!(
        rows.as_array()
            .expect("rows")
            .iter()
            .any(|row| row["code"] == "internal")
    );
    assert!(out(&environment.run(&["problems"])).starts_with("# Problems"));
}

#[tokio::test]
async fn a_port_in_use_is_reported_with_its_configuration_key() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("bound").port().to_string();
    let environment = environment().await.set("http.port", &port);
    let output = environment.run(&["serve"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        err(&output).contains("http.port") && err(&output).contains(&port),
        "{}",
        err(&output)
    );
}

#[tokio::test]
async fn probe_reports_the_health_of_the_local_process() {
    let environment = environment().await;
    // Without a schema the server is live but not ready.
    let server = environment.serve();
    let port = server.management.rsplit(':').next().expect("a port").to_owned();
    let environment = environment.set("http.management_port", &port);
    let live = environment.run(&["probe", "livez"]);
    assert_eq!(live.status.code(), Some(0), "{}", err(&live));
    let unready = environment.run(&["probe"]);
    assert_eq!(unready.status.code(), Some(1));
    assert!(err(&unready).contains("starting"), "{}", err(&unready));
    let environment = environment.set("http.management_port", "1");
    let no_server = environment.run(&["probe"]);
    assert_eq!(no_server.status.code(), Some(1));
    assert!(
        err(&no_server).contains("no response from"),
        "{}",
        err(&no_server)
    );
}

#[tokio::test]
async fn jobs_are_listed_shown_retried_and_discarded() {
    let environment = environment().await;
    assert!(environment.run(&["migrate"]).status.success());
    let id = environment
        .database
        .enqueue("unknown_kind", json!({}), 1)
        .await
        .to_string();
    let mark_dead =
        "UPDATE job_runs SET status = 'dead', attempt = 1, last_error = 'it broke', finished_at = now()";
    environment.database.execute(mark_dead).await;
    let run = |arguments: &[&str]| environment.run(&[&["jobs"], arguments].concat());

    let listed = run(&["list", "--status", "dead"]);
    assert_eq!(listed.status.code(), Some(0), "{}", err(&listed));
    for text in [&id, "unknown_kind", "dead", "it broke"] {
        assert!(out(&listed).contains(text), "`{text}` in {}", out(&listed));
    }
    let shown: Value = serde_json::from_str(&out(&run(&["show", &id]))).expect("JSON");
    assert_eq!(shown["last_error"], "it broke");

    let retried = run(&["retry", &id]);
    assert_eq!(retried.status.code(), Some(0), "{}", err(&retried));
    assert!(err(&retried).contains("is queued again"), "{}", err(&retried));
    assert!(!out(&run(&["list", "--status", "dead"])).contains(&id));
    let again = run(&["retry", &id]);
    assert_eq!(again.status.code(), Some(1));
    assert!(
        err(&again).contains("that is dead, failed or cancelled"),
        "{}",
        err(&again)
    );

    let discarded = run(&["discard", &id]);
    assert_eq!(discarded.status.code(), Some(0), "{}", err(&discarded));
    for command in ["show", "discard", "retry"] {
        assert_eq!(run(&[command, &id]).status.code(), Some(1), "{command}");
    }
    assert_eq!(run(&["show", "17"]).status.code(), Some(2), "not a job id");
}

#[tokio::test]
async fn dead_jobs_are_retried_and_discarded_by_kind_and_time() {
    let environment = environment().await;
    assert!(environment.run(&["migrate"]).status.success());
    for kind in ["one_kind", "other_kind"] {
        environment.database.enqueue(kind, json!({}), 1_500).await;
    }
    let mark_dead = "UPDATE job_runs SET status = 'dead', finished_at = now()";
    environment.database.execute(mark_dead).await;
    let run = |arguments: &[&str]| environment.run(&[&["jobs"], arguments].concat());
    let said = |arguments: &[&str]| {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        err(&output)
    };

    let retried = said(&["retry", "--all", "--kind", "one_kind", "--since", "1h"]);
    assert!(retried.contains("1000 jobs queued again so far"), "{retried}");
    assert!(retried.contains("1500 jobs queued again\n"), "{retried}");
    assert!(said(&["discard", "--all", "--since", "2100-01-01T00:00:00Z"]).contains("0 jobs deleted"));
    assert!(said(&["discard", "--all"]).contains("1500 jobs deleted\n"));
    let left = "SELECT count(*) FROM job_runs WHERE status = 'queued' AND kind = 'one_kind'";
    assert_eq!(environment.database.count(left).await, 1_500);
    for wrong in [
        &["retry"][..],
        &["retry", "--kind", "one_kind"],
        &["retry", "--all", "--since", "yesterday"],
        &["discard", "--status", "queued"],
        &["discard", "--all", "--status", "running"],
        &["retry", "--all", "--status", "queued"],
    ] {
        assert_eq!(run(wrong).status.code(), Some(2), "{wrong:?}");
    }
}

#[tokio::test]
async fn a_queued_job_is_cancelled_immediately() {
    let environment = environment().await;
    assert!(environment.run(&["migrate"]).status.success());
    let id = environment.database.enqueue("unknown_kind", json!({}), 1).await;
    let cancel = || environment.run(&["jobs", "cancel", &id.to_string()]);
    let cancelled = cancel();
    assert_eq!(cancelled.status.code(), Some(0), "{}", err(&cancelled));
    assert_eq!(environment.database.job(id).await.0, "cancelled");
    assert_eq!(cancel().status.code(), Some(1));
}

#[tokio::test]
async fn a_crash_at_startup_requires_fault_injection() {
    let crash = r#"{"kind": "crash"}"#;
    let environment = environment().await.set("faults.at_startup", crash);
    let refused = environment.run(&["serve"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        err(&refused).contains("needs faults.enabled"),
        "{}",
        err(&refused)
    );

    let environment = environment.set("faults.enabled", "true");
    let crashed = environment.run(&["serve"]);
    assert_eq!(crashed.status.signal(), Some(6), "{}", err(&crashed));
}
