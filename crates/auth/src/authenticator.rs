//! Verifies bearer tokens.

use jsonwebtoken::{DecodingKey, Validation, decode, decode_header, errors::ErrorKind};
use resilience::Deadline;
use runtime::Lifecycle;
use telemetry::metrics::DependencyMetrics;

use crate::{
    AuthRefusal, Claims, KeyedHash, KeysUnavailable, Settings,
    claims::RawClaims,
    jwks::{Jwks, UnknownKey},
    keys::configured_key,
};

/// Verifies bearer tokens.
pub struct Authenticator {
    keys: Keys,
    validation: Validation,
    hash: KeyedHash,
}

enum Keys {
    Configured(DecodingKey),
    Published(Jwks),
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator").finish_non_exhaustive()
    }
}

impl Authenticator {
    /// An authenticator with the rules of the configuration. At most `max_waiting` requests wait for a key that is not yet
    /// known, so that tokens with invented key ids cannot occupy every permit.
    ///
    /// # Errors
    /// If the key cannot be read, or TLS cannot be set up.
    pub fn new(
        auth: &Settings,
        max_waiting: usize,
        lifecycle: &Lifecycle,
        metrics: DependencyMetrics,
    ) -> anyhow::Result<Self> {
        let mut validation = Validation::new(auth.algorithm.jwa());
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
        let keys = match &auth.jwks_url {
            Some(url) => {
                let (url, interval) = (url.clone(), auth.jwks_refresh_interval);
                Keys::Published(Jwks::start(
                    url,
                    auth.algorithm,
                    interval,
                    max_waiting,
                    lifecycle,
                    metrics,
                )?)
            }
            None => Keys::Configured(
                configured_key(auth).map_err(|expected| anyhow::anyhow!("auth.public_key: {expected}"))?,
            ),
        };
        Ok(Self {
            keys,
            validation,
            hash: KeyedHash::new(&auth.hash_key),
        })
    }

    /// The keyed hash that stands for personal data in logs and keys.
    pub fn hash(&self) -> &KeyedHash {
        &self.hash
    }

    /// The claims of the token in the header `Authorization`. Waits until the deadline for a key that is not yet known.
    ///
    /// # Errors
    /// 401 if there is no token, or one that is not valid here; 503 if its key cannot be loaded, 504 if that takes too
    /// long.
    pub async fn verify(
        &self,
        authorization: Option<&[u8]>,
        deadline: Deadline,
    ) -> Result<Claims, AuthRefusal> {
        let token = authorization
            .and_then(|value| std::str::from_utf8(value).ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim())
            .ok_or_else(AuthRefusal::no_token)?;
        let raw = match &self.keys {
            Keys::Configured(key) => self.decode(token, key),
            Keys::Published(jwks) => {
                let header = decode_header(token).map_err(|_| AuthRefusal::invalid(MALFORMED))?;
                if !self.validation.algorithms.contains(&header.alg) {
                    return Err(AuthRefusal::invalid(ANOTHER_ALGORITHM));
                }
                let keys = jwks.candidates(header.kid.as_deref(), deadline).await;
                let keys = keys.map_err(|unknown| match unknown {
                    UnknownKey::NotPublished => AuthRefusal::invalid("the key of the token is unknown"),
                    UnknownKey::Unavailable(why) => AuthRefusal::KeysUnavailable(KeysUnavailable(why)),
                    UnknownKey::TimedOut => AuthRefusal::TimedOut,
                })?;
                let mut result = Err(INVALID_SIGNATURE);
                for key in &keys {
                    result = self.decode(token, key);
                    if !matches!(result, Err(INVALID_SIGNATURE)) {
                        break;
                    }
                }
                result
            }
        };
        raw.and_then(|raw| raw.checked(|subject| self.hash.of(subject)))
            .map_err(AuthRefusal::invalid)
    }

    /// The claims of a token that was signed with this key; the error says what is wrong with it.
    fn decode(&self, token: &str, key: &DecodingKey) -> Result<RawClaims, &'static str> {
        let token =
            decode::<RawClaims>(token, key, &self.validation).map_err(|error| reason(error.kind()))?;
        // A header that the sender declares as critical must be understood (RFC 7515, section 4.1.11). This is none.
        if token.header.crit.is_some() {
            return Err("the token has critical headers that are not supported");
        }
        Ok(token.claims)
    }
}

const MALFORMED: &str = "the token is malformed";
const ANOTHER_ALGORITHM: &str = "the token is signed with another algorithm";
const INVALID_SIGNATURE: &str = "the signature is invalid";

fn reason(error: &ErrorKind) -> &'static str {
    match error {
        ErrorKind::ExpiredSignature => "the token has expired",
        ErrorKind::ImmatureSignature => "the token is not valid yet",
        ErrorKind::InvalidSignature => INVALID_SIGNATURE,
        ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm => ANOTHER_ALGORITHM,
        ErrorKind::InvalidIssuer => "the token is from another issuer",
        ErrorKind::InvalidAudience => "the token is for another audience",
        ErrorKind::MissingRequiredClaim(claim) => match claim.as_str() {
            "exp" => "the claim exp is missing",
            "sub" => "the claim sub is missing",
            "iss" => "the claim iss is missing",
            "aud" => "the claim aud is missing",
            _ => MALFORMED,
        },
        _ => MALFORMED,
    }
}
