//! The section `auth`.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use settings::{Choice, Errors};
use url::Url;

use crate::keys::configured_key;

/// The default of `auth.secret`, for development only: it is public, and rejected in every other environment.
pub const DEVELOPMENT_SECRET: &str = "development-only-secret-that-everybody-knows";

/// The default of `auth.hash_key`, for development only: it is public, and rejected in every other environment.
pub const DEVELOPMENT_HASH_KEY: &str = "development-only-hash-key-that-everybody-knows";

/// How bearer tokens are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Choice)]
pub enum Algorithm {
    /// A shared secret.
    #[choice("HS256")]
    Hs256,
    /// An RSA public key.
    #[choice("RS256")]
    Rs256,
    /// A P-256 public key.
    #[choice("ES256")]
    Es256,
}

/// How bearer tokens are verified.
#[derive(Clone, Debug, settings::Settings)]
#[settings(check = Settings::check)]
pub struct Settings {
    /// `HS256`, `RS256` or `ES256`.
    #[setting(default = Algorithm::Hs256)]
    pub algorithm: Algorithm,
    /// The shared secret of HS256, at least 32 bytes.
    #[setting(default = DEVELOPMENT_SECRET.into())]
    pub secret: SecretString,
    /// The public key of RS256 or ES256, as PEM; line breaks are optional. Not needed with `auth.jwks_url`.
    pub public_key: Option<String>,
    /// Address of the identity provider's JSON Web Key Set, for RS256 or ES256. The key is chosen by the `kid` of the
    /// token, so that the provider can rotate its keys.
    pub jwks_url: Option<Url>,
    /// Interval at which the keys at `auth.jwks_url` are loaded again. A token with an unknown key loads them
    /// immediately, at most once per second.
    #[setting(default = Duration::from_mins(5), min = Duration::from_secs(1))]
    pub jwks_refresh_interval: Duration,
    /// The `iss` claim that tokens must have. If empty, it is not checked, which only development allows.
    pub issuer: Option<String>,
    /// The `aud` claim that tokens must have. If empty, it is not checked, which only development allows.
    pub audience: Option<String>,
    /// The key of the hashes that stand for subjects and idempotency keys in logs and in Redis keys, at least 32 bytes,
    /// the same in every replica.
    #[setting(default = DEVELOPMENT_HASH_KEY.into())]
    pub hash_key: SecretString,
}

impl Settings {
    fn check(&self, errors: &mut Errors) {
        let too_short = "needs at least 32 bytes; generate one with `openssl rand -base64 32`";
        if self.hash_key.expose_secret().len() < 32 {
            errors.add("hash_key", too_short);
        }
        if self.algorithm == Algorithm::Hs256 {
            if self.secret.expose_secret().len() < 32 {
                errors.add("secret", too_short);
            }
            if self.jwks_url.is_some() {
                errors.add("jwks_url", "needs auth.algorithm = RS256 or ES256");
            }
        } else if self.jwks_url.is_none() {
            if let Err(expected) = configured_key(self) {
                errors.add("public_key", format!("{expected}; or set auth.jwks_url"));
            }
        } else if self.public_key.is_some() {
            errors.add("public_key", "must be empty if auth.jwks_url is set");
        }
    }

    /// Whether tokens are verified with [`DEVELOPMENT_SECRET`].
    pub fn has_development_secret(&self) -> bool {
        self.algorithm == Algorithm::Hs256 && self.secret.expose_secret() == DEVELOPMENT_SECRET
    }

    /// Whether personal data is hashed with [`DEVELOPMENT_HASH_KEY`].
    pub fn has_development_hash_key(&self) -> bool {
        self.hash_key.expose_secret() == DEVELOPMENT_HASH_KEY
    }
}
