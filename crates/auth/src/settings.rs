//! The section `auth`.

use secrecy::{ExposeSecret, SecretString};
use settings::{Choice, Errors};

use crate::token::decoding_key;

/// The default of `auth.secret`, for development only: it is public, and rejected in every other environment.
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
    /// The public key of RS256 or ES256, as PEM; line breaks are optional.
    pub public_key: Option<String>,
    /// The `iss` claim that tokens must have; not checked if empty.
    pub issuer: Option<String>,
    /// The `aud` claim that tokens must have; not checked if empty.
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
                "needs at least 32 bytes; generate one with `openssl rand -base64 32`",
            );
        }
    }

    /// Whether tokens are verified with [`DEVELOPMENT_SECRET`].
    pub fn has_development_secret(&self) -> bool {
        self.algorithm == Algorithm::Hs256 && self.secret.expose_secret() == DEVELOPMENT_SECRET
    }
}
