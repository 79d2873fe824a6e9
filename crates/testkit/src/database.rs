//! A database per test, dropped at the end of the test.

use std::{collections::BTreeSet, str::FromStr};

use database::Schema;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, postgres::PgConnectOptions};
use tokio::sync::Mutex;

/// Increased when templates are prepared differently, so that a server that keeps running gets new ones.
const PREPARATION: u32 = 2;
/// The role of the app. It owns nothing, and its password is its name.
pub(crate) const SERVICE_ROLE: &str = "service";

/// A database that belongs to one test; dropped with this value.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    server: String,
    is_owner: bool,
    /// The URL of the database, for the app.
    pub url: String,
}

impl TestDatabase {
    /// Creates an empty database on the server with this URL.
    pub async fn create(server: &str) -> Self {
        Self::from_template(server, "template1").await
    }

    /// Creates a database with this schema, as a copy of a template that is migrated once and stays on the server.
    ///
    /// # Panics
    /// When a migration fails.
    pub async fn migrated(server: &str, schema: Schema) -> Self {
        static CREATED: Mutex<BTreeSet<String>> = Mutex::const_new(BTreeSet::new());
        let name = format!("template_{}_{PREPARATION}", schema.fingerprint());
        let mut created = CREATED.lock().await;
        if !created.contains(&name) {
            create_template(server, schema, &name).await;
            created.insert(name.clone());
        }
        drop(created);
        Self::from_template(server, &name).await
    }

    async fn from_template(server: &str, template: &str) -> Self {
        let name = format!("test_{}", uuid::Uuid::now_v7().simple());
        let mut url = reqwest::Url::parse(server).expect("APP__DATABASE__URL is a URL");
        url.set_path(&name);
        let database = Self {
            name,
            server: server.to_owned(),
            is_owner: true,
            url: url.into(),
        };
        create_service_role(server).await;
        execute(
            &database.server,
            &format!("CREATE DATABASE {} TEMPLATE {template}", database.name),
        )
        .await;
        database
    }

    /// The same database, for another app of the test: dropping this value leaves the database in place.
    pub(crate) fn shared(&self) -> Self {
        Self {
            name: self.name.clone(),
            server: self.server.clone(),
            is_owner: false,
            url: self.url.clone(),
        }
    }

    /// Runs the missing migrations.
    ///
    /// # Panics
    /// When a migration fails.
    pub async fn migrate(&self, schema: Schema) {
        self.try_migrate(schema).await.expect("the migrations succeed");
    }

    /// Runs the missing migrations, and grants the app's role what it needs; returns how many there were.
    ///
    /// # Errors
    /// When a migration fails.
    pub async fn try_migrate(&self, schema: Schema) -> anyhow::Result<usize> {
        let applied = schema.migrate(&self.settings()).await?;
        self.grant(schema).await;
        Ok(applied)
    }

    /// Grants the app's role what a process needs.
    ///
    /// # Panics
    /// When Postgres refuses.
    pub async fn grant(&self, schema: Schema) {
        let granted = schema.grant_to(&self.settings(), SERVICE_ROLE).await;
        granted.expect("the privileges are granted");
        // Tables and sequences that a test adds later.
        self.execute(&format!(
            "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {SERVICE_ROLE};
             ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO {SERVICE_ROLE};"
        ))
        .await;
    }

    /// The settings for commands that change the schema: `direct_url` connects as the owner of the tables.
    pub fn settings(&self) -> database::Settings {
        let variables = self.variables();
        let loaded = settings::load_from::<platform::Settings>("", "/nonexistent".as_ref(), variables);
        loaded.settings.database
    }

    /// The address of the database, as environment variables for a process of the service. If `TEST_POOLER` has the address
    /// of a connection pooler, it leads through that.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let mut variables = vec![("APP__DATABASE__URL", self.service_url())];
        if has_pooler() {
            variables.push(("APP__DATABASE__POOLER", "true".to_owned()));
        }
        variables.push(("APP__DATABASE__DIRECT_URL", self.url.clone()));
        let owned = variables
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        owned.collect()
    }

    /// The URL for the app: its role does not own the tables.
    pub(crate) fn service_url(&self) -> String {
        let mut url = reqwest::Url::parse(&self.url).expect("a URL");
        url.set_username(SERVICE_ROLE).expect("a URL with a host");
        url.set_password(Some(SERVICE_ROLE)).expect("a URL with a host");
        if let Some((host, port)) = pooler() {
            url.set_host(Some(&host)).expect("a host");
            url.set_port(Some(port)).expect("a URL with a host");
        }
        url.into()
    }

    /// Opens a connection to the database, bypassing any proxy.
    pub async fn connect(&self) -> PgConnection {
        let options = PgConnectOptions::from_str(&self.url).expect("a valid URL");
        PgConnection::connect_with(&options)
            .await
            .expect("the test database exists")
    }

    /// Opens a connection with the role of the app, bypassing any proxy.
    pub async fn connect_as_service(&self) -> PgConnection {
        let options = PgConnectOptions::from_str(&self.service_url()).expect("a valid URL");
        PgConnection::connect_with(&options)
            .await
            .expect("the test database exists")
    }

    /// Runs SQL statements on the database, bypassing any proxy.
    pub async fn execute(&self, sql: &str) {
        execute(&self.url, sql).await;
    }

    /// Runs a statement that returns one number; returns that number.
    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql)
            .fetch_one(&mut self.connect().await)
            .await
            .expect("the statement returns a number")
    }

    /// Makes the database reject new connections; open connections stay.
    pub async fn reject_connections(&self) {
        self.alter("WITH ALLOW_CONNECTIONS false").await;
    }

    /// Makes the database read-only for new connections, and closes the open ones.
    pub async fn make_read_only(&self) {
        self.set_for_new_connections("default_transaction_read_only", "on")
            .await;
    }

    /// Sets a parameter for new connections, and closes the open ones.
    pub async fn set_for_new_connections(&self, parameter: &str, value: &str) {
        self.alter(&format!("SET {parameter} = '{value}'")).await;
        self.terminate_connections().await;
    }

    /// Resets a parameter for new connections; open connections keep its value.
    pub async fn reset_for_new_connections(&self, parameter: &str) {
        self.alter(&format!("RESET {parameter}")).await;
    }

    async fn alter(&self, change: &str) {
        execute(&self.server, &format!("ALTER DATABASE {} {change}", self.name)).await;
    }

    /// Takes a lock with the statement `lock`, and holds it until it is released or dropped.
    pub async fn hold(&self, lock: &'static str) -> Lock {
        let mut connection = self.connect().await;
        for statement in ["BEGIN", lock] {
            let locked = sqlx::query(statement).execute(&mut connection).await;
            locked.expect("the lock is free");
        }
        Lock(connection)
    }

    /// Waits until at least one statement waits for a lock.
    pub async fn wait_for_lock_waiter(&self) {
        self.wait_for_lock_waiters(1).await;
    }

    /// Waits until at least `count` statements wait for locks.
    pub async fn wait_for_lock_waiters(&self, count: i64) {
        let waiters = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        self.wait_until(waiters, |waiting| waiting >= count).await;
    }

    /// The process id of the Postgres backend whose last statement begins with `statement`.
    ///
    /// # Panics
    /// When there is no such backend.
    pub async fn backend_of(&self, statement: &str) -> i32 {
        let backend = "SELECT pid FROM pg_stat_activity
                       WHERE datname = current_database() AND starts_with(query, $1) AND pid <> pg_backend_pid()";
        let backend = sqlx::query_scalar(backend).bind(statement);
        let found = backend.fetch_one(&mut self.connect().await).await;
        found.expect("a backend has run the statement")
    }

    /// Waits until the Postgres backend with this process id has ended.
    pub async fn wait_for_backend_exit(&self, backend: i32) {
        let backends = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {backend}");
        self.wait_until(&backends, |count| count == 0).await;
    }

    /// Waits until the number that `sql` returns meets `condition`.
    pub async fn wait_until(&self, sql: &str, condition: impl Fn(i64) -> bool) {
        let mut connection = self.connect().await;
        let started = std::time::Instant::now();
        loop {
            let number = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
                .fetch_one(&mut connection)
                .await
                .expect("the statement returns a number");
            if condition(number) {
                return;
            }
            assert!(
                started.elapsed() < std::time::Duration::from_mins(1),
                "the result is still {number}: {sql}"
            );
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    /// Closes every other connection to the database, as a restart of the server would.
    pub async fn terminate_connections(&self) {
        let others = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                      WHERE datname = current_database() AND pid <> pg_backend_pid()";
        self.count(others).await;
    }
}

/// A database lock, held by its own connection.
#[derive(Debug)]
pub struct Lock(PgConnection);

impl Lock {
    /// Releases the lock, so that the statements that wait for it continue.
    ///
    /// # Panics
    /// When the connection is closed.
    pub async fn release(mut self) {
        let released = sqlx::query("COMMIT").execute(&mut self.0).await;
        released.expect("the lock is held until here");
    }
}

/// Whether the app connects through a connection pooler.
pub(crate) fn has_pooler() -> bool {
    pooler().is_some()
}

/// Host and port of the connection pooler through which the app connects, if there is one: `dev/with-pooler`.
fn pooler() -> Option<(String, u16)> {
    let address = std::env::var("TEST_POOLER").ok()?;
    let (host, port) = address.rsplit_once(':').expect("TEST_POOLER is host:port");
    Some((host.to_owned(), port.parse().expect("TEST_POOLER is host:port")))
}

/// Creates the template database unless it exists.
async fn create_template(server: &str, schema: Schema, name: &str) {
    let options = PgConnectOptions::from_str(server).expect("a valid URL");
    let mut connection = PgConnection::connect_with(&options)
        .await
        .expect("Postgres is running; see `make test`");
    // Only one of several concurrent test processes creates the template; closing the connection releases the lock.
    sqlx::query("SELECT pg_advisory_lock(5432)")
        .execute(&mut connection)
        .await
        .expect("the lock is acquired");
    let exists = sqlx::query_scalar::<_, bool>("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(name);
    if !exists.fetch_one(&mut connection).await.expect("a boolean") {
        let database = TestDatabase::create(server).await;
        database.migrate(schema).await;
        execute(
            server,
            &format!("ALTER DATABASE {} RENAME TO {name}", database.name),
        )
        .await;
        // Dropping `database` drops nothing: the template has another name now.
    }
}

/// Creates the role of the app, once per process. Another process may create it at the same time.
async fn create_service_role(server: &str) {
    static CREATED: Mutex<bool> = Mutex::const_new(false);
    let mut created = CREATED.lock().await;
    if !std::mem::replace(&mut *created, true) {
        execute(
            server,
            &format!(
                "DO $$ BEGIN CREATE ROLE {SERVICE_ROLE} LOGIN PASSWORD '{SERVICE_ROLE}';
                 EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
            ),
        )
        .await;
    }
}

async fn execute(url: &str, sql: &str) {
    let options = PgConnectOptions::from_str(url).expect("a valid URL");
    let mut connection = PgConnection::connect_with(&options)
        .await
        .expect("Postgres is running; see `make test`");
    // `AssertSqlSafe` is justified: the statement comes from the test itself.
    connection
        .execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned())))
        .await
        .expect("the statement succeeds");
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if !self.is_owner {
            return;
        }
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
