//! Idempotency keys.

use std::fmt;

/// The name of one intended effect. Keep it until the outcome is known: a call that failed may have taken effect, and
/// only a call with the same key finds out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// A new key, for an effect that was not requested before.
    #[expect(clippy::new_without_default, reason = "each key is another one")]
    pub fn new() -> Self {
        Self(uuid::Uuid::new_v4().to_string())
    }

    /// The key as it is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A key from the caller's own records, of 1 to 255 visible ASCII characters.
impl From<String> for Key {
    fn from(key: String) -> Self {
        Self(key)
    }
}

impl From<&str> for Key {
    fn from(key: &str) -> Self {
        Self(key.to_owned())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
