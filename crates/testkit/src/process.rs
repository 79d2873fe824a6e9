//! The service's binary in a process of its own, with the settings of a test and no others.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use crate::{TestDatabase, app_builder::in_environment};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(20);

/// The environment of one test: settings as variables, and a database of its own.
#[derive(Debug)]
pub struct Environment {
    /// Its database, empty at first.
    pub database: TestDatabase,
    binary: PathBuf,
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// For this binary, with an empty database and free ports.
    ///
    /// # Panics
    /// When Postgres or Redis is not there: `make test` starts both.
    pub async fn new(binary: impl Into<PathBuf>) -> Self {
        let server = in_environment("APP__DATABASE__URL");
        let redis = in_environment("APP__REDIS__URL");
        let database = TestDatabase::create(&server).await;
        let environment = Self {
            database,
            binary: binary.into(),
            variables: BTreeMap::new(),
        };
        let url = environment.database.url.clone();
        environment
            .set("database.url", &url)
            .set("redis.url", &redis)
            .set("service.name", &format!("test-{}", uuid::Uuid::now_v7().simple()))
            .set("http.port", "0")
            .set("http.management_port", "0")
            .set("http.workers", "1")
    }

    /// Sets a key of the configuration.
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

    /// Runs a command to its end.
    ///
    /// # Panics
    /// When the binary does not start.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the binary starts")
    }

    /// A token of this subject, with every scope of the service.
    ///
    /// # Panics
    /// When none is issued.
    pub fn token(&self, subject: &str) -> String {
        let output = self.run(&["token", "--subject", subject]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Starts `api serve` and waits until it says where it serves.
    ///
    /// # Panics
    /// When it does not say so within 20 seconds.
    pub fn serve(&self) -> Server {
        self.start(&["serve"])
    }

    /// Starts a worker and waits until it says where its probes are.
    ///
    /// # Panics
    /// When it does not say so within 20 seconds.
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

/// A service that runs in a process of its own; killed on drop.
#[derive(Debug)]
pub struct Server {
    child: Child,
    lines: Receiver<String>,
    /// Where its API is.
    pub public: String,
    /// Where its probes are.
    pub management: String,
}

impl Server {
    /// The next log event whose message begins like this.
    ///
    /// # Panics
    /// When none comes within 20 seconds, or a line is not JSON.
    pub fn wait_for_event(&self, message: &str) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = self
                .lines
                .recv_timeout(left)
                .unwrap_or_else(|error| panic!("no `{message}`: {error}"));
            let event: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"));
            if event["message"]
                .as_str()
                .is_some_and(|text| text.starts_with(message))
            {
                return event;
            }
        }
    }

    /// Waits until a probe answers this status.
    ///
    /// # Panics
    /// When it does not within 20 seconds.
    pub async fn wait_for_probe(&self, probe: &str, status: u16) {
        let until = Instant::now() + PATIENCE;
        let url = format!("{}{probe}", self.management);
        while reqwest::get(&url)
            .await
            .map_or(0, |response| response.status().as_u16())
            != status
        {
            assert!(Instant::now() < until, "{probe} did not become {status}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The resident memory of the process, in KiB.
    ///
    /// # Panics
    /// Where there is no `/proc`, or the process is gone.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()));
        let status = status.expect("Linux has a status for each process");
        let size = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let size = size.expect("a resident size").trim().trim_end_matches(" kB");
        size.parse().expect("a number")
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name, such as `TERM`.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits for the end of the process.
    ///
    /// # Panics
    /// When it goes on for more than 20 seconds.
    pub fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                return status;
            }
            assert!(
                Instant::now() < until,
                "the process does not end: {:?}",
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
