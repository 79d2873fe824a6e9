//! Migrations of a database in use: which ones wait, which can be repeated, and that only one runs at a time.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use database::{MigrationSet, Schema};
use futures_util::future::join_all;
use reqwest::Method;
use sqlx::{
    AssertSqlSafe, PgConnection, SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
};
use testkit::{
    TestDatabase, log_lines,
    notes::{NOTES, sample_note},
};

use crate::{TestApp, assert_problem};

const BUILD_INDEX: &str = "CREATE INDEX CONCURRENTLY things_name ON things (name)";
const VALID: &str = "SELECT count(*) FROM pg_index
                     WHERE indexrelid = to_regclass('things_name') AND indisvalid";
/// Longer than the lock timeout of a migration in a transaction.
const BEYOND_LOCK_TIMEOUT: Duration = Duration::from_secs(6);

/// A schema with the first `count` of five migrations: two tables, a record of the lock timeout, an index that is built
/// concurrently, and two more records, one outside a transaction and one inside.
fn schema(count: usize) -> Schema {
    let record = "INSERT INTO limits SELECT current_setting('lock_timeout')";
    let migrations = [
        (
            "CREATE TABLE things (name text); CREATE TABLE limits (lock_timeout text)",
            false,
        ),
        (record, false),
        (BUILD_INDEX, true),
        (record, true),
        (
            "INSERT INTO limits SELECT current_setting('lock_timeout') ",
            false,
        ),
    ];
    let migrations = migrations.into_iter().zip(1..).take(count);
    let migrations = migrations.map(|((sql, no_tx), version)| {
        let sql = AssertSqlSafe(sql).into_sql_str();
        Migration::new(version, "test".into(), MigrationType::Simple, sql, no_tx)
    });
    let migrator = Box::leak(Box::new(Migrator::with_migrations(migrations.collect())));
    let set: &MigrationSet = Box::leak(Box::new(MigrationSet::of_service(migrator)));
    Schema::new().with(set)
}

async fn execute(connection: &mut PgConnection, sql: &'static str) -> sqlx::Result<()> {
    sqlx::query(sql).execute(connection).await.map(drop)
}

/// A transaction that reads the table, as a dump or a long report does.
async fn reader(database: &TestDatabase) -> PgConnection {
    let mut connection = database.connect().await;
    let begin = execute(&mut connection, "BEGIN ISOLATION LEVEL REPEATABLE READ").await;
    begin.expect("a transaction");
    let read = execute(&mut connection, "SELECT count(*) FROM things").await;
    read.expect("the table exists");
    connection
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_built_concurrently_waits_for_long_transactions() {
    let app = TestApp::build().unmigrated().start().await;
    let database = &app.database;
    database.try_migrate(schema(2)).await.expect("the table");
    let mut reader = reader(database).await;
    let mut migrating = Box::pin(database.try_migrate(schema(5)));
    let ended = tokio::time::timeout(BEYOND_LOCK_TIMEOUT, &mut migrating).await;
    assert!(
        ended.is_err(),
        "the migration did not wait for the reader: {ended:?}"
    );
    execute(&mut reader, "COMMIT")
        .await
        .expect("the transaction was open");
    assert_eq!(migrating.await.expect("the index is built"), 3);
    assert_eq!(database.count(VALID).await, 1);
    // In a transaction, a lock request blocks all traffic queued behind it, so there the timeout applies, before and
    // after the index.
    for (limit, times) in [("5s", 2), ("0", 1)] {
        let seen = format!("SELECT count(*) FROM limits WHERE lock_timeout = '{limit}'");
        database.wait_until(&seen, |seen| seen == times).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_was_left_invalid_is_rebuilt() {
    let app = TestApp::build().unmigrated().start().await;
    let database = &app.database;
    database.try_migrate(schema(2)).await.expect("the table");
    let reader = reader(database).await;
    let mut broken = database.connect().await;
    let limited = execute(&mut broken, "SET lock_timeout = '100ms'").await;
    limited.expect("a setting");
    let error = execute(&mut broken, BUILD_INDEX).await;
    error.expect_err("the reader blocks the index");
    drop(reader);
    assert_eq!(database.count(VALID).await, 0);

    database
        .try_migrate(schema(5))
        .await
        .expect("the index is rebuilt");
    assert_eq!(database.count(VALID).await, 1);
}

/// Like two pods of a Kubernetes Job, or a retry that overlaps the first attempt.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_concurrent_migrations_the_second_waits_for_the_first() {
    let app = TestApp::build().unmigrated().start().await;
    let database = &app.database;
    database.try_migrate(schema(2)).await.expect("the table");
    let mut reader = reader(database).await;
    let both = async { tokio::join!(database.try_migrate(schema(5)), database.try_migrate(schema(5))) };
    let mut both = Box::pin(both);
    let ended = tokio::time::timeout(BEYOND_LOCK_TIMEOUT, &mut both).await;
    assert!(ended.is_err(), "{ended:?}");
    execute(&mut reader, "COMMIT")
        .await
        .expect("the transaction was open");
    let (one, other) = both.await;
    let mut applied = [
        one.expect("the migration succeeds"),
        other.expect("the migration succeeds"),
    ];
    applied.sort_unstable();
    assert_eq!(applied, [0, 3]);
    assert_eq!(database.count(VALID).await, 1);
}

/// A release was rolled back and has left its migrations. A fix of the release before it must be able to migrate.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_release_runs_on_a_newer_schema() {
    let app = TestApp::build().unmigrated().start().await;
    let database = &app.database;
    database.try_migrate(schema(5)).await.expect("the newer release");
    assert_eq!(database.try_migrate(schema(4)).await.expect("the older one"), 0);
    // What it does know must still be what has run.
    database
        .execute("UPDATE _sqlx_migrations SET checksum = 'other' WHERE version = 2")
        .await;
    let error = database
        .try_migrate(schema(4))
        .await
        .expect_err("a changed migration");
    assert!(format!("{error:#}").contains("differ"), "{error:#}");
}

/// Every connection of the pool has statements whose plans the migration invalidates. They select all columns, as code
/// written in a hurry does.
#[tokio::test(flavor = "multi_thread")]
async fn a_migration_under_open_connections_fails_no_request() {
    let app = TestApp::start().await;
    let (path, note) = (app.create_note().await, sample_note());
    let requests = async || {
        let read = join_all((0..8).map(|_| app.get(NOTES))).await;
        let written = join_all((0..8).map(|_| app.write(&note))).await;
        let statuses = read
            .iter()
            .chain(&written)
            .map(|response| response.status().as_u16());
        statuses.collect::<BTreeSet<_>>()
    };
    assert_eq!(requests().await, [200, 201].into());
    for change in [
        "ADD COLUMN color text",
        "ALTER COLUMN text TYPE varchar(200000)",
        "DROP COLUMN color",
    ] {
        app.database
            .execute(&format!("ALTER TABLE test_notes {change}"))
            .await;
        assert_eq!(requests().await, [200, 201].into(), "{change}");
    }
    assert_eq!(app.get(&path).await.status(), 200);
    let stale = "retry_attempts_total{dependency=\"postgres\",reason=\"stale_plan\"}";
    assert!(app.metric(stale).await >= 1.0, "the plans were stale");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_cannot_be_decoded_is_a_bug_and_no_lost_connection() {
    let app = TestApp::start().await;
    app.create_note().await;
    app.database
        .execute("ALTER TABLE test_notes ALTER COLUMN version TYPE integer")
        .await;
    assert_problem(app.get(NOTES).await, NOTES, Method::GET, "internal").await;
    assert_eq!(
        app.metric("db_client_errors_total{sqlstate=\"client\"}").await,
        1.0
    );
}

/// Connections follow a change of DNS, of the primary or of credentials because each is replaced from time to time.
#[tokio::test(flavor = "multi_thread")]
async fn connections_are_replaced_at_their_longest_age() {
    // Before the first connection can have been opened.
    let opened = Instant::now();
    let app = TestApp::build()
        .set("database.max_connection_age", "1s")
        .start()
        .await;
    let backends = "SELECT max(pid)::bigint FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name LIKE '% requests'";
    app.create_note().await;
    let first = app.database.count(backends).await;
    let began = Instant::now();
    let mut pid = first;
    while pid == first {
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "the connection is still the same"
        );
        assert_eq!(app.write(&sample_note()).await.status(), 201);
        pid = app.database.count(backends).await;
    }
    assert!(
        opened.elapsed() > Duration::from_millis(800),
        "{:?}",
        opened.elapsed()
    );
}

/// Every test runs as a role that owns nothing. Without its privileges, the process says so and does not start.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_privileges_does_not_start_until_they_are_granted() {
    let app = TestApp::build().unmigrated().start().await;
    let schema = testkit::notes::SERVICE.definition().schema;
    let settings = app.database.settings();
    schema.migrate(&settings).await.expect("the owner migrates");
    let nothing_granted = "the role may not read and write the table _migrations_database";
    let began = Instant::now();
    while !log_lines().contains(nothing_granted) {
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "the reason is not logged"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The bookkeeping can be read, as if the grants had been forgotten after a migration that added a table.
    app.database
        .execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO service")
        .await;
    let reason = "the role may not read and write the table idempotency_keys";
    let began = Instant::now();
    while !log_lines().contains(reason) {
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "the reason is not logged"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(app.management("/startupz").await.status(), 503);

    app.database.grant(schema).await;
    app.wait_for("/startupz", 200).await;
    app.create_note().await;
    let forbidden = sqlx::query("DELETE FROM _migrations_jobs");
    let mut connection = app.database.connect_as_service().await;
    forbidden
        .execute(&mut connection)
        .await
        .expect_err("the record of migrations is not its own");

    let error = schema
        .grant_to(&settings, "nosuchrole")
        .await
        .expect_err("no such role");
    assert!(
        error.to_string().contains("there is no role `nosuchrole`"),
        "{error}"
    );
}
