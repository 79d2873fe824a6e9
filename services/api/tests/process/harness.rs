//! Starts the binary with the environment of a test and nothing else of it.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use serde_json::Value;
use testkit::TestDatabase;

const PATIENCE: Duration = Duration::from_secs(20);

/// The environment of one test: settings as variables, and a database of its own.
pub struct Environment {
    pub database: TestDatabase,
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// With an empty database and free ports.
    pub async fn new() -> Self {
        let server = std::env::var("APP__DATABASE__URL").expect("run the tests with `make test`");
        let redis = std::env::var("APP__REDIS__URL").expect("run the tests with `make test`");
        let database = TestDatabase::create(&server).await;
        let environment = Self {
            database,
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

    /// Sets a key.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        let name = format!("APP__{}", key.replace('.', "__").to_uppercase());
        self.variables.insert(name, value.to_owned());
        self
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_api"));
        let inherited = std::env::vars().filter(|(name, _)| name.starts_with("APP__"));
        inherited.for_each(|(name, _)| _ = command.env_remove(name));
        command
            .args(arguments)
            .envs(&self.variables)
            .env("CONFIG_DIR", concat!(env!("CARGO_MANIFEST_DIR"), "/config"));
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the binary starts")
    }

    /// Starts `api serve` and waits until it says where it serves.
    pub fn serve(&self) -> Server {
        let mut command = self.command(&["serve"]);
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
        let address = |name: &str| format!("http://{}", serving[name].as_str().expect("an address"));
        (server.public, server.management) = (address("api"), address("management"));
        server
    }
}

/// A service that runs in a process of its own; killed on drop.
pub struct Server {
    child: Child,
    lines: Receiver<String>,
    pub public: String,
    pub management: String,
}

impl Server {
    /// The next log event with this message.
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

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits for the end of the process.
    pub fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                return status;
            }
            assert!(Instant::now() < until, "the process does not end");
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
