//! Hashes that stand for personal data.

use std::fmt::Write;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// The length of a hash in bytes. Two of a billion values share a hash with a probability of 3 %, and no value can be
/// recovered without the key.
const LENGTH: usize = 8;

/// Replaces a value by its keyed hash (HMAC-SHA-256): the same value always has the same hash, and without the key a
/// value that can be guessed cannot be confirmed.
#[derive(Clone)]
pub struct KeyedHash(Hmac<Sha256>);

impl std::fmt::Debug for KeyedHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyedHash").finish_non_exhaustive()
    }
}

impl KeyedHash {
    /// Hashes with this key.
    pub(crate) fn new(key: &SecretString) -> Self {
        let hmac = Hmac::new_from_slice(key.expose_secret().as_bytes());
        Self(hmac.expect("HMAC accepts keys of every length"))
    }

    /// The hash of `value`, in hexadecimal digits.
    pub fn of(&self, value: &str) -> String {
        let mut hmac = self.0.clone();
        hmac.update(value.as_bytes());
        let digest = hmac.finalize().into_bytes();
        let mut hash = String::with_capacity(2 * LENGTH);
        for byte in &digest[..LENGTH] {
            // Writing to a String cannot fail.
            let _ = write!(hash, "{byte:02x}");
        }
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_depends_on_the_value_and_on_the_key() {
        let (one, other) = (KeyedHash::new(&"one".into()), KeyedHash::new(&"other".into()));
        assert_eq!(one.of("alice"), one.of("alice"));
        assert_ne!(one.of("alice"), one.of("bob"));
        assert_ne!(one.of("alice"), other.of("alice"));
        // The beginning of what `printf alice | openssl dgst -sha256 -hmac one` prints.
        assert_eq!(one.of("alice"), "60c8daa070cbd9a5");
    }
}
