//! Signs tokens for development.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm as Jwa, EncodingKey, Header, encode};
use secrecy::ExposeSecret;
use serde::Serialize;

use crate::{Algorithm, Settings};

#[derive(Serialize)]
struct DevelopmentClaims<'s> {
    sub: &'s str,
    scope: &'s str,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'s str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'s str>,
}

/// Signs a token for development.
///
/// # Errors
/// If the algorithm is not HS256: then only the identity provider can sign.
pub fn development_token(
    auth: &Settings,
    subject: &str,
    scope: &str,
    valid_for: Duration,
) -> anyhow::Result<String> {
    anyhow::ensure!(
        auth.algorithm == Algorithm::Hs256,
        "auth.algorithm is {}: only the identity provider can sign tokens",
        auth.algorithm.as_str()
    );
    let expires = SystemTime::now().duration_since(UNIX_EPOCH)? + valid_for;
    let claims = DevelopmentClaims {
        sub: subject,
        scope,
        exp: expires.as_secs(),
        iss: auth.issuer.as_deref(),
        aud: auth.audience.as_deref(),
    };
    let key = EncodingKey::from_secret(auth.secret.expose_secret().as_bytes());
    Ok(encode(&Header::new(Jwa::HS256), &claims, &key)?)
}
