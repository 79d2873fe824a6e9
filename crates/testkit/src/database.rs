//! A database per test, dropped with it.

use std::{collections::BTreeSet, str::FromStr};

use database::Schema;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, postgres::PgConnectOptions};
use tokio::sync::Mutex;

/// A database of its own.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    server: String,
    /// Its address, for the app.
    pub url: String,
}

impl TestDatabase {
    /// Creates it, empty, on this server.
    pub async fn create(server: &str) -> Self {
        Self::copied(server, "template1").await
    }

    /// Creates it on this server with the schema in place: a copy of one that was migrated once and stays there.
    ///
    /// # Panics
    /// When the migrations do not run.
    pub async fn migrated(server: &str, schema: Schema) -> Self {
        static MADE: Mutex<BTreeSet<String>> = Mutex::const_new(BTreeSet::new());
        let name = format!("template_{}", schema.fingerprint());
        let mut made = MADE.lock().await;
        if !made.contains(&name) {
            make_template(server, schema, &name).await;
            made.insert(name.clone());
        }
        drop(made);
        Self::copied(server, &name).await
    }

    async fn copied(server: &str, template: &str) -> Self {
        let name = format!("test_{}", uuid::Uuid::now_v7().simple());
        let mut url = reqwest::Url::parse(server).expect("APP__DATABASE__URL is an address");
        url.set_path(&name);
        let database = Self {
            name,
            server: server.to_owned(),
            url: url.into(),
        };
        execute(
            &database.server,
            &format!("CREATE DATABASE {} TEMPLATE {template}", database.name),
        )
        .await;
        database
    }

    /// Brings its schema up to date.
    ///
    /// # Panics
    /// When the migrations do not run.
    pub async fn migrate(&self, schema: Schema) {
        self.try_migrate(schema).await.expect("the migrations run");
    }

    /// Brings its schema up to date; returns how many migrations there were.
    ///
    /// # Errors
    /// When a migration fails.
    pub async fn try_migrate(&self, schema: Schema) -> anyhow::Result<usize> {
        let url = ("APP__DATABASE__URL".to_owned(), self.url.clone());
        let loaded = settings::load_from::<platform::Settings>("", "/nonexistent".as_ref(), [url]);
        schema.migrate(&loaded.settings.database).await
    }

    /// A connection of the test's own, past every proxy.
    pub async fn connect(&self) -> PgConnection {
        let options = PgConnectOptions::from_str(&self.url).expect("a valid address");
        PgConnection::connect_with(&options)
            .await
            .expect("the test database is there")
    }

    /// Runs statements on it, past every proxy.
    pub async fn execute(&self, sql: &str) {
        execute(&self.url, sql).await;
    }

    /// The one number that this statement yields.
    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql)
            .fetch_one(&mut self.connect().await)
            .await
            .expect("the statement counts")
    }

    /// Lets nobody in any more; who is connected stays.
    pub async fn admit_nobody(&self) {
        self.alter("WITH ALLOW_CONNECTIONS false").await;
    }

    /// Makes it refuse writes, for all who connect from now on; who is connected is disconnected.
    pub async fn make_read_only(&self) {
        self.set_for_new_connections("default_transaction_read_only", "on")
            .await;
    }

    /// Sets a parameter for all who connect from now on; who is connected is disconnected.
    pub async fn set_for_new_connections(&self, parameter: &str, value: &str) {
        self.alter(&format!("SET {parameter} = '{value}'")).await;
        self.disconnect_everybody().await;
    }

    /// Takes this setting back, for all who connect from now on; who is connected keeps it.
    pub async fn reset_for_new_connections(&self, parameter: &str) {
        self.alter(&format!("RESET {parameter}")).await;
    }

    async fn alter(&self, change: &str) {
        execute(&self.server, &format!("ALTER DATABASE {} {change}", self.name)).await;
    }

    /// Holds what this statement locks, until it is released or dropped.
    pub async fn hold(&self, lock: &'static str) -> Lock {
        let mut connection = self.connect().await;
        for statement in ["BEGIN", lock] {
            let locked = sqlx::query(statement).execute(&mut connection).await;
            locked.expect("the lock is free");
        }
        Lock(connection)
    }

    /// Waits until a statement waits for a lock.
    pub async fn wait_for_lock_waiter(&self) {
        self.wait_for_lock_waiters(1).await;
    }

    /// Waits until so many statements wait for locks.
    pub async fn wait_for_lock_waiters(&self, count: i64) {
        let waiters = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        self.wait_until(waiters, |waiting| waiting >= count).await;
    }

    /// The process at the server whose last statement began like this.
    ///
    /// # Panics
    /// When there is none.
    pub async fn backend_of(&self, statement: &str) -> i32 {
        let backend = "SELECT pid FROM pg_stat_activity
                       WHERE datname = current_database() AND starts_with(query, $1) AND pid <> pg_backend_pid()";
        let backend = sqlx::query_scalar(backend).bind(statement);
        let found = backend.fetch_one(&mut self.connect().await).await;
        found.expect("a connection that ran it")
    }

    /// Waits until this process at the server has ended.
    pub async fn wait_for_end_of(&self, backend: i32) {
        let gone = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {backend}");
        self.wait_until(&gone, |backends| backends == 0).await;
    }

    /// Waits until the number that `sql` yields is as wanted.
    pub async fn wait_until(&self, sql: &str, wanted: impl Fn(i64) -> bool) {
        let mut connection = self.connect().await;
        let started = std::time::Instant::now();
        loop {
            let number = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
                .fetch_one(&mut connection)
                .await
                .expect("the statement counts");
            if wanted(number) {
                return;
            }
            assert!(
                started.elapsed() < std::time::Duration::from_secs(30),
                "still {number}: {sql}"
            );
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    /// Closes every connection but ours, as a restart of the server would.
    pub async fn disconnect_everybody(&self) {
        let others = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                      WHERE datname = current_database() AND pid <> pg_backend_pid()";
        self.count(others).await;
    }
}

/// A lock, held by a connection of its own.
#[derive(Debug)]
pub struct Lock(PgConnection);

impl Lock {
    /// Lets the statements that wait for it go on.
    ///
    /// # Panics
    /// When the connection is gone.
    pub async fn release(mut self) {
        let released = sqlx::query("COMMIT").execute(&mut self.0).await;
        released.expect("the lock was held");
    }
}

/// Makes the database that tests copy, unless it is there.
async fn make_template(server: &str, schema: Schema, name: &str) {
    let options = PgConnectOptions::from_str(server).expect("a valid address");
    let mut alone = PgConnection::connect_with(&options)
        .await
        .expect("Postgres is there; see `make test`");
    // Of all processes that test at the same time, one makes it; the lock goes with the connection.
    sqlx::query("SELECT pg_advisory_lock(5432)")
        .execute(&mut alone)
        .await
        .expect("a lock");
    let there = sqlx::query_scalar::<_, bool>("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(name);
    if !there.fetch_one(&mut alone).await.expect("a catalogue") {
        let database = TestDatabase::create(server).await;
        database.migrate(schema).await;
        execute(
            server,
            &format!("ALTER DATABASE {} RENAME TO {name}", database.name),
        )
        .await;
        // What was renamed is not there any more to be dropped.
    }
}

async fn execute(url: &str, sql: &str) {
    let options = PgConnectOptions::from_str(url).expect("a valid address");
    let mut connection = PgConnection::connect_with(&options)
        .await
        .expect("Postgres is there; see `make test`");
    // The statement is the test's own.
    connection
        .execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned())))
        .await
        .expect("the statement works");
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (server, sql) = (
            self.server.clone(),
            format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name),
        );
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(execute(&server, &sql));
        });
        let _ = dropping.join();
    }
}
