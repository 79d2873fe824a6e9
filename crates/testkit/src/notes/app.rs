//! Writing notes through HTTP.

use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use super::Notes;
use crate::TestApp;

/// Where notes are.
pub const NOTES: &str = "/v1/test/notes";

/// A note that keeps all rules.
pub fn note() -> Value {
    json!({ "text": "remember the milk" })
}

impl TestApp<Notes> {
    /// Writes a note as alice under this key.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn write_with_key(&self, key: &str, note: &Value) -> Response {
        self.write_request(key, note).send().await.expect("an answer")
    }

    /// The request that writes a note as alice.
    pub fn write_request(&self, key: &str, note: &Value) -> RequestBuilder {
        self.request(Method::POST, NOTES)
            .header("idempotency-key", key)
            .json(note)
    }

    /// Writes a note as alice under a fresh key.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn write(&self, note: &Value) -> Response {
        self.write_with_key(&uuid::Uuid::new_v4().to_string(), note).await
    }

    /// Writes a note and gives its path.
    ///
    /// # Panics
    /// When it is not written.
    pub async fn written(&self) -> String {
        let response = self.write(&note()).await;
        assert_eq!(response.status(), 201);
        response.headers()["location"]
            .to_str()
            .expect("a path")
            .to_owned()
    }
}
