//! The section `auth`.

use secrecy::{ExposeSecret, SecretString};
use settings::{Choice, Errors};

use crate::token::decoding_key;

/// The `auth.secret` of development. It is public, and refused in every other environment.
pub const DEVELOPMENT_SECRET: &str = "development-only-secret-that-everybody-knows";

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

/// Bearer tokens.
#[derive(Clone, Debug, settings::Settings)]
#[settings(check = Settings::check)]
pub struct Settings {
    /// `HS256`, `RS256` or `ES256`.
    #[setting(default = Algorithm::Hs256)]
    pub algorithm: Algorithm,
    /// The shared secret of HS256, at least 32 bytes.
    #[setting(default = DEVELOPMENT_SECRET.into())]
    pub secret: SecretString,
    /// The public key of RS256 or ES256, as PEM; its line breaks may be left out.
    pub public_key: Option<String>,
    /// `iss` that tokens must have; empty does not check.
    pub issuer: Option<String>,
    /// `aud` that tokens must have; empty does not check.
    pub audience: Option<String>,
}

impl Settings {
    fn check(&self, errors: &mut Errors) {
        if self.algorithm != Algorithm::Hs256 {
            if let Err(expected) = decoding_key(self) {
                errors.add("public_key", expected);
            }
        } else if self.secret.expose_secret().len() < 32 {
            errors.add(
                "secret",
                "needs at least 32 bytes; make one with `openssl rand -base64 32`",
            );
        }
    }

    /// Whether tokens are checked with the public secret of development.
    pub fn has_development_secret(&self) -> bool {
        self.algorithm == Algorithm::Hs256 && self.secret.expose_secret() == DEVELOPMENT_SECRET
    }
}
