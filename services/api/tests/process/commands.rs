//! Subcommands: results on standard output, words for people on standard error, exit codes that tell.

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
async fn wrong_usage_is_2_and_help_is_0() {
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
async fn every_configuration_fault_is_told_at_once_by_check_and_by_serve() {
    let environment = environment()
        .await
        .set("http.port", "80800")
        .set("database.statement_timeout", "fast")
        .set("http.prot", "1");
    for command in ["check", "serve", "migrate"] {
        let output = environment.run(&[command]);
        assert_eq!(output.status.code(), Some(1), "{command}");
        let told = out(&output) + &err(&output);
        for key in ["http.port", "database.statement_timeout", "http.prot"] {
            assert!(told.contains(key), "{command} does not tell {key}: {told}");
        }
    }
}

#[tokio::test]
async fn check_passes_from_a_migrated_database_on() {
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
}

#[tokio::test]
async fn an_unreachable_database_fails_check_and_migrate_without_its_password() {
    let environment = environment().await.set(
        "database.url",
        "postgres://someone:planted-password@127.0.0.1:1/nothing",
    );
    for command in ["check", "migrate"] {
        let output = environment.run(&[command]);
        assert_eq!(output.status.code(), Some(1), "{command}");
        let told = out(&output) + &err(&output);
        assert!(told.contains("cannot be reached"), "{told}");
        assert!(!told.contains("planted-password"), "{told}");
    }
}

/// A new pod is let through to the database only after a moment.
#[tokio::test(flavor = "multi_thread")]
async fn migrate_waits_a_moment_for_its_database() {
    let environment = environment().await;
    let (proxy, url) = Proxy::before(&environment.database.url).await;
    proxy.set(Mode::Cut);
    let environment = environment.set("database.url", &url);
    let migrate = tokio::task::spawn_blocking(move || (environment.run(&["migrate"]), environment));
    while proxy.accepted() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    proxy.set(Mode::Pass);
    let (migrated, _environment) = migrate.await.expect("it ends");
    assert_eq!(migrated.status.code(), Some(0), "{}", err(&migrated));
}

/// A server that answers is not one that cannot be reached.
#[tokio::test]
async fn check_tells_what_the_database_said() {
    let environment = environment().await;
    let gone = format!("{}_gone", environment.database.url);
    let environment = environment.set("database.url", &gone);
    let output = environment.run(&["check"]);
    assert_eq!(output.status.code(), Some(1));
    let told = out(&output);
    assert!(told.contains("does not exist"), "{told}");
}

#[tokio::test]
async fn a_lost_redis_is_told_but_fails_nothing() {
    let environment = environment().await;
    assert!(environment.run(&["migrate"]).status.success());
    let environment = environment.set("redis.url", "redis://127.0.0.1:1");
    let output = environment.run(&["check"]);
    assert_eq!(output.status.code(), Some(0), "{}", out(&output));
    assert!(out(&output).contains("redis: away"), "{}", out(&output));
}

#[tokio::test]
async fn a_token_is_all_there_is_on_standard_output_and_only_in_development() {
    let environment = environment().await;
    let output = environment.run(&["token", "--subject", "alice"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        out(&output).trim().split('.').count(),
        3,
        "a JWT and nothing else"
    );
    assert_eq!(out(&output).lines().count(), 1);

    let production = environment
        .set("service.environment", "production")
        .set("auth.secret", "0123456789abcdef0123456789abcdef");
    let output = production.run(&["token", "--subject", "alice"]);
    assert_eq!((output.status.code(), out(&output)), (Some(1), String::new()));
    assert!(err(&output).contains("only in development"), "{}", err(&output));
}

#[tokio::test]
async fn the_development_secret_starts_nothing_in_production() {
    let environment = environment().await.set("service.environment", "production");
    let output = environment.run(&["serve"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("auth.secret"), "{}", err(&output));
}

#[tokio::test]
async fn contract_and_catalogue_are_printed_for_programs() {
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
async fn a_port_in_use_is_told_with_its_key() {
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
async fn probe_tells_how_the_process_beside_it_is() {
    let environment = environment().await;
    // Without a schema it lives, and is not ready.
    let server = environment.serve();
    let port = server.management.rsplit(':').next().expect("a port").to_owned();
    let environment = environment.set("http.management_port", &port);
    let lives = environment.run(&["probe", "livez"]);
    assert_eq!(lives.status.code(), Some(0), "{}", err(&lives));
    let unready = environment.run(&["probe"]);
    assert_eq!(unready.status.code(), Some(1));
    assert!(err(&unready).contains("starting"), "{}", err(&unready));
    let environment = environment.set("http.management_port", "1");
    let alone = environment.run(&["probe"]);
    assert_eq!(alone.status.code(), Some(1));
    assert!(err(&alone).contains("nobody answers"), "{}", err(&alone));
}

#[tokio::test]
async fn jobs_are_seen_and_steered() {
    let environment = environment().await;
    assert!(environment.run(&["migrate"]).status.success());
    let id = environment
        .database
        .enqueue("of_nobody", json!({}), 1, 1)
        .await
        .to_string();
    let die =
        "UPDATE job_runs SET status = 'dead', attempt = 1, last_error = 'it broke', finished_at = now()";
    environment.database.execute(die).await;
    let run = |arguments: &[&str]| environment.run(&[&["jobs"], arguments].concat());

    let listed = run(&["list", "--dead"]);
    assert_eq!(listed.status.code(), Some(0), "{}", err(&listed));
    for told in [&id, "of_nobody", "dead", "1/1", "it broke"] {
        assert!(out(&listed).contains(told), "{told} in {}", out(&listed));
    }
    let shown: Value = serde_json::from_str(&out(&run(&["show", &id]))).expect("JSON");
    assert_eq!(shown["last_error"], "it broke");

    let retried = run(&["retry", &id]);
    assert_eq!(retried.status.code(), Some(0), "{}", err(&retried));
    assert!(err(&retried).contains("is queued again"), "{}", err(&retried));
    assert!(!out(&run(&["list", "--dead"])).contains(&id));
    let again = run(&["retry", &id]);
    assert_eq!(again.status.code(), Some(1));
    assert!(
        err(&again).contains("there is no dead or failed job"),
        "{}",
        err(&again)
    );

    let discarded = run(&["discard", &id]);
    assert_eq!(discarded.status.code(), Some(0), "{}", err(&discarded));
    for gone in ["show", "discard", "retry"] {
        assert_eq!(run(&[gone, &id]).status.code(), Some(1), "{gone}");
    }
    assert_eq!(run(&["show", "17"]).status.code(), Some(2), "no id at all");
}

#[tokio::test]
async fn a_crash_is_for_drills_alone() {
    let crash = r#"{"kind": "crash"}"#;
    let environment = environment().await.set("faults.start", crash);
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
