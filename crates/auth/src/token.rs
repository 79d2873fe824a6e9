//! Verifies bearer tokens, and signs them for development.

use std::time::Duration;

use jsonwebtoken::{Algorithm as Jwa, DecodingKey, EncodingKey, Header, Validation};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Algorithm, AuthRefusal, Challenge, Settings};

/// The claims of a valid token. They are not `Debug`, since subjects are personal data.
#[derive(Clone, Serialize, Deserialize)]
pub struct Claims {
    sub: String,
    #[serde(default)]
    scope: String,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    iss: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    aud: Option<serde_json::Value>,
}

impl Claims {
    /// The subject: who is calling.
    pub fn subject(&self) -> &str {
        &self.sub
    }

    /// The subject as a hash, for logs and keys: the same for each request of a subject. The hash has no key, so a
    /// subject that can be guessed can be recovered.
    pub fn hashed_subject(&self) -> String {
        let digest = Sha256::digest(&self.sub);
        digest[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Refuses a token without this scope.
    ///
    /// # Errors
    /// 403, naming the scope.
    pub fn require(&self, scope: &'static str) -> Result<(), AuthRefusal> {
        if self.scope.split(' ').any(|own| own == scope) {
            Ok(())
        } else {
            Err(AuthRefusal::missing(scope))
        }
    }
}

/// Verifies bearer tokens.
pub struct Authenticator {
    key: DecodingKey,
    validation: Validation,
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator").finish_non_exhaustive()
    }
}

/// The key that verifies tokens; the error says what is expected.
pub(crate) fn decoding_key(auth: &Settings) -> Result<DecodingKey, String> {
    let pem = auth.public_key.as_deref().unwrap_or_default().as_bytes();
    match auth.algorithm {
        Algorithm::Hs256 => Ok(DecodingKey::from_secret(auth.secret.expose_secret().as_bytes())),
        Algorithm::Rs256 => {
            DecodingKey::from_rsa_pem(pem).map_err(|_| "expected an RSA public key in PEM".to_owned())
        }
        Algorithm::Es256 => {
            DecodingKey::from_ec_pem(pem).map_err(|_| "expected a P-256 public key in PEM".to_owned())
        }
    }
}

impl Authenticator {
    /// An authenticator with the rules of the configuration.
    ///
    /// # Errors
    /// If the key cannot be read.
    pub fn new(auth: &Settings) -> anyhow::Result<Self> {
        let mut validation = Validation::new(match auth.algorithm {
            Algorithm::Hs256 => Jwa::HS256,
            Algorithm::Rs256 => Jwa::RS256,
            Algorithm::Es256 => Jwa::ES256,
        });
        validation.validate_nbf = true;
        let mut required = vec!["exp", "sub"];
        validation.validate_aud = auth.audience.is_some();
        if let Some(audience) = &auth.audience {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        if let Some(issuer) = &auth.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        validation.set_required_spec_claims(&required);
        let key = decoding_key(auth).map_err(|expected| anyhow::anyhow!("auth.public_key: {expected}"))?;
        Ok(Self { key, validation })
    }

    /// The claims of the token in the header `Authorization`.
    ///
    /// # Errors
    /// 401 if there is no token, or one that is not valid here.
    pub fn verify(&self, authorization: Option<&[u8]>) -> Result<Claims, AuthRefusal> {
        let token = authorization
            .and_then(|value| std::str::from_utf8(value).ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let challenge = Challenge {
            token_was_sent: authorization.is_some(),
        };
        let Some((_, token)) = token else {
            return Err(AuthRefusal::Unauthenticated(challenge));
        };
        match jsonwebtoken::decode::<Claims>(token.trim(), &self.key, &self.validation) {
            // Postgres cannot store U+0000.
            Ok(token) if !token.claims.sub.is_empty() && !token.claims.sub.contains('\0') => Ok(token.claims),
            _ => Err(AuthRefusal::Unauthenticated(challenge)),
        }
    }
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
    let expires = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)? + valid_for;
    let claims = Claims {
        sub: subject.to_owned(),
        scope: scope.to_owned(),
        exp: expires.as_secs(),
        iss: auth.issuer.clone(),
        aud: auth.audience.clone().map(Into::into),
    };
    let key = EncodingKey::from_secret(auth.secret.expose_secret().as_bytes());
    Ok(jsonwebtoken::encode(&Header::new(Jwa::HS256), &claims, &key)?)
}
