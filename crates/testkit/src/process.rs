//! The binary of a service as a child process, with the settings of the test and no others.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use crate::{
    TestDatabase,
    app_builder::server_url,
    database::{SERVICE_ROLE, has_pooler},
};
use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(30);

/// The environment of one test: a binary, its settings as environment variables, and a database.
#[derive(Debug)]
pub struct ProcessEnvironment {
    /// The database of the test, initially empty.
    pub database: TestDatabase,
    binary: PathBuf,
    variables: BTreeMap<String, String>,
}

impl ProcessEnvironment {
    /// An environment for this binary, with an empty database and free ports.
    ///
    /// # Panics
    /// When Postgres or Redis is not running: `make test` starts both.
    pub async fn new(binary: impl Into<PathBuf>) -> Self {
        let server = server_url("APP__DATABASE__URL");
        let redis = server_url("APP__REDIS__URL");
        let database = TestDatabase::create(&server).await;
        let variables = if has_pooler() {
            let role = ("MIGRATE_GRANT_TO".to_owned(), SERVICE_ROLE.to_owned());
            database.variables().into_iter().chain([role]).collect()
        } else {
            [("APP__DATABASE__URL".to_owned(), database.url.clone())].into()
        };
        let environment = Self {
            database,
            binary: binary.into(),
            variables,
        };
        environment
            .set("redis.url", &redis)
            .set("service.name", &format!("test-{}", uuid::Uuid::now_v7().simple()))
            .set("http.port", "0")
            .set("http.management_port", "0")
            .set("http.workers", "1")
    }

    /// Sets a configuration key, such as `database.pool_size`, through its environment variable.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        let name = format!("APP__{}", key.replace('.', "__").to_uppercase());
        self.variables.insert(name, value.to_owned());
        self
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        let inherited = std::env::vars().filter(|(name, _)| name.starts_with("APP__"));
        inherited.for_each(|(name, _)| _ = command.env_remove(name));
        command
            .args(arguments)
            .envs(&self.variables)
            .env("CONFIG_DIR", "/nonexistent");
        command
    }

    /// Runs a command of the binary until it exits.
    ///
    /// # Panics
    /// When the binary does not start.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the binary starts")
    }

    /// Issues a token for this subject, with every scope of the service.
    ///
    /// # Panics
    /// When the command fails.
    pub fn token(&self, subject: &str) -> String {
        let output = self.run(&["token", "--subject", subject]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Starts the `serve` command and waits until the process logs its addresses.
    ///
    /// # Panics
    /// When it does not within 30 s.
    pub fn serve(&self) -> Server {
        self.start(&["serve"])
    }

    /// Starts the `work` command, a worker, and waits until the process logs its management address.
    ///
    /// # Panics
    /// When it does not within 30 s.
    pub fn work(&self) -> Server {
        self.start(&["work"])
    }

    fn start(&self, arguments: &[&str]) -> Server {
        let mut command = self.command(arguments);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the binary starts");
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let (send, lines) = channel();
        std::thread::spawn(move || {
            stderr
                .lines()
                .map_while(Result::ok)
                .all(|line| send.send(line).is_ok())
        });
        let mut server = Server {
            child,
            lines,
            public: String::new(),
            management: String::new(),
        };
        let serving = server.wait_for_event("serving");
        let address = |name: &str| format!("http://{}", serving[name].as_str().unwrap_or_default());
        (server.public, server.management) = (address("api"), address("management"));
        server
    }
}

/// A running process of the service; killed on drop.
#[derive(Debug)]
pub struct Server {
    child: Child,
    lines: Receiver<String>,
    /// The base URL of the API.
    pub public: String,
    /// The base URL of the management port.
    pub management: String,
}

impl Server {
    /// Waits for the next log event whose message begins with `message`; returns the event.
    ///
    /// # Panics
    /// When there is no such event within 30 s, or a line is not JSON.
    pub fn wait_for_event(&self, message: &str) -> Value {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let remaining = deadline.saturating_duration_since(Instant::now());
            let line = self
                .lines
                .recv_timeout(remaining)
                .unwrap_or_else(|error| panic!("no log event `{message}`: {error}"));
            let event: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"));
            if event["message"]
                .as_str()
                .is_some_and(|text| text.starts_with(message))
            {
                return event;
            }
        }
    }

    /// Polls a probe until it responds with this status.
    ///
    /// # Panics
    /// After 30 s.
    pub async fn wait_for_probe(&self, probe: &str, status: u16) {
        let deadline = Instant::now() + TIMEOUT;
        let url = format!("{}{probe}", self.management);
        while reqwest::get(&url)
            .await
            .map_or(0, |response| response.status().as_u16())
            != status
        {
            assert!(Instant::now() < deadline, "{probe} did not respond with {status}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The resident memory (RSS) of the process, in KiB.
    ///
    /// # Panics
    /// When there is no `/proc`, or the process has exited.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()));
        let status = status.expect("Linux has a status file for each process");
        let size = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let size = size.expect("a resident size").trim().trim_end_matches(" kB");
        size.parse().expect("a number")
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name, such as `TERM`.
    ///
    /// # Panics
    /// When the process has exited.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status();
        assert!(sent.expect("kill runs").success());
    }

    /// Whether the process has not exited.
    ///
    /// # Panics
    /// When it cannot be asked.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the process is our child").is_none()
    }

    /// Waits until the process exits.
    ///
    /// # Panics
    /// After 30 s.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Some(status) = self.child.try_wait().expect("the process is our child") {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "the process does not exit: {:?}",
                self.lines.try_iter().collect::<Vec<_>>()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
