//! Calls of a client, against a mock server.

mod reports;
mod retries;

use std::{
    fmt,
    io::Write,
    sync::{LazyLock, Mutex},
    time::Duration,
};

use client::{Caller, Error, Fetched, Method, Sent, Settings};
use serde::Deserialize;
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

/// The events of all tests, as text.
static EVENTS: LazyLock<Mutex<Vec<u8>>> = LazyLock::new(|| {
    let subscriber = tracing_subscriber::fmt().with_writer(|| Events).with_ansi(false);
    tracing::subscriber::set_global_default(subscriber.finish()).expect("the first subscriber");
    Mutex::default()
});

struct Events;

impl Write for Events {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        EVENTS.lock().expect("no panic").write(line)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The events with this text, one per line.
fn events_of(text: &str) -> String {
    let events = String::from_utf8(EVENTS.lock().expect("no panic").clone()).expect("text");
    let lines = events.lines().filter(|line| line.contains(text));
    lines.map(|line| format!("{line}\n")).collect()
}

fn settings() -> Settings {
    // Before the first event, since tracing decides once per place whether there is a subscriber.
    LazyLock::force(&EVENTS);
    Settings {
        initial_backoff: Duration::from_millis(1),
        attempt_timeout: Duration::from_millis(300),
        retry_budget: 1.0,
        ..Settings::default()
    }
}

/// The codes of a service with one problem type of its own.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "String")]
enum Code {
    NoteGone,
    Unknown(String),
}

impl From<String> for Code {
    fn from(code: String) -> Self {
        if code == "note-gone" {
            Self::NoteGone
        } else {
            Self::Unknown(code)
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoteGone => f.write_str("note-gone"),
            Self::Unknown(code) => f.write_str(code),
        }
    }
}

impl client::ProblemCode for Code {
    fn user_message(&self) -> &'static str {
        match self {
            Self::NoteGone => "This note is gone.",
            Self::Unknown(_) => "Something went wrong.",
        }
    }
}

#[derive(Debug, Deserialize)]
struct Note {
    #[expect(dead_code, reason = "only its shape is checked")]
    text: String,
}

/// A client of a service that has notes.
#[derive(Debug)]
struct Notes(Caller<Code>);

impl Notes {
    fn at(base: &str, settings: Settings) -> Self {
        Self(Caller::new(base, "planted-token", settings).expect("a caller"))
    }

    async fn read(&self) -> Result<Fetched<Note>, Error<Code>> {
        self.0.read("/notes/{id}", "/notes/1").await
    }

    async fn write(&self, sent: Sent<'_>) -> Result<Note, Error<Code>> {
        let note = Some(json!({ "text": "planted-text" }));
        self.0.write(Method::POST, "/notes", "/notes", sent, note).await
    }

    async fn delete(&self) -> Result<Value, Error<Code>> {
        let sent = Sent::AsOftenAsNeeded;
        self.0
            .write(Method::DELETE, "/notes/{id}", "/notes/1", sent, None)
            .await
    }
}

fn client(server: &MockServer, settings: Settings) -> Notes {
    Notes::at(&server.uri(), settings)
}

fn problem(code: &str, status: u16, retryable: bool) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(json!({
        "type": format!("/problems/{code}"), "title": "t", "status": status, "detail": "d", "code": code,
        "request_id": "r", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "retryable": retryable
    }))
}

async fn server_with(response: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(response).mount(&server).await;
    server
}

async fn requests_to(server: &MockServer) -> usize {
    server.received_requests().await.expect("recorded").len()
}
