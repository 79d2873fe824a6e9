//! Helpers that write notes through HTTP.

use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use super::Notes;
use crate::TestApp;

/// The path of the notes.
pub const NOTES: &str = "/v1/test/notes";

/// A valid note.
pub fn sample_note() -> Value {
    json!({ "text": "remember the milk" })
}

impl TestApp<Notes> {
    /// Writes a note as `alice` with this idempotency key.
    ///
    /// # Panics
    /// When there is no response.
    pub async fn write_with_key(&self, key: &str, note: &Value) -> Response {
        self.write_request(key, note).send().await.expect("a response")
    }

    /// The request that writes a note as `alice` with this idempotency key.
    pub fn write_request(&self, key: &str, note: &Value) -> RequestBuilder {
        self.request(Method::POST, NOTES)
            .header("idempotency-key", key)
            .json(note)
    }

    /// Writes a note as `alice` with a new idempotency key.
    ///
    /// # Panics
    /// When there is no response.
    pub async fn write(&self, note: &Value) -> Response {
        self.write_with_key(&uuid::Uuid::new_v4().to_string(), note).await
    }

    /// Writes the sample note; returns its path.
    ///
    /// # Panics
    /// When the response is not 201.
    pub async fn create_note(&self) -> String {
        let response = self.write(&sample_note()).await;
        assert_eq!(response.status(), 201);
        response.headers()["location"]
            .to_str()
            .expect("a path")
            .to_owned()
    }
}
