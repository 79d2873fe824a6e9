//! The keys that verify tokens.

use jsonwebtoken::{
    Algorithm as Jwa, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse},
};
use secrecy::ExposeSecret;

use crate::{Algorithm, Settings};

impl Algorithm {
    pub(crate) fn jwa(self) -> Jwa {
        match self {
            Self::Hs256 => Jwa::HS256,
            Self::Rs256 => Jwa::RS256,
            Self::Es256 => Jwa::ES256,
        }
    }
}

/// The key in the configuration; the error says what is expected.
pub(crate) fn configured_key(auth: &Settings) -> Result<DecodingKey, String> {
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

/// The keys that a provider publishes (RFC 7517).
#[derive(Clone, Default)]
pub(crate) struct KeySet(Vec<(Option<String>, DecodingKey)>);

impl KeySet {
    /// The keys of a document that verify signatures with `algorithm`; the error says why there are none.
    pub(crate) fn parse(document: &[u8], algorithm: Algorithm) -> Result<Self, String> {
        let set: JwkSet =
            serde_json::from_slice(document).map_err(|error| format!("not a JSON Web Key Set: {error}"))?;
        let keys: Vec<_> = set.keys.iter().filter_map(|jwk| usable(jwk, algorithm)).collect();
        if keys.is_empty() {
            return Err(format!("the key set has no key for {}", algorithm.as_str()));
        }
        Ok(Self(keys))
    }

    /// The keys that a token with this key id may be signed with: all of them if it names none.
    pub(crate) fn candidates(&self, kid: Option<&str>) -> impl Iterator<Item = &DecodingKey> {
        self.0
            .iter()
            .filter(move |(own, _)| kid.is_none() || own.as_deref() == kid)
            .map(|(_, key)| key)
    }
}

fn usable(jwk: &Jwk, algorithm: Algorithm) -> Option<(Option<String>, DecodingKey)> {
    let signs = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let fits = match (&jwk.algorithm, algorithm) {
        (AlgorithmParameters::RSA(_), Algorithm::Rs256) => true,
        (AlgorithmParameters::EllipticCurve(key), Algorithm::Es256) => key.curve == EllipticCurve::P256,
        _ => false,
    };
    let key = (signs && fits)
        .then(|| DecodingKey::from_jwk(jwk).ok())
        .flatten()?;
    Some((jwk.common.key_id.clone(), key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_signing_keys_of_the_algorithm_are_used() {
        let document = br#"{"keys": [
            {"kty": "RSA", "kid": "rsa", "use": "sig", "n": "sXch", "e": "AQAB"},
            {"kty": "RSA", "kid": "encryption", "use": "enc", "n": "sXch", "e": "AQAB"},
            {"kty": "oct", "kid": "secret", "k": "c2VjcmV0"},
            {"kty": "EC", "kid": "p384", "crv": "P-384", "x": "AA", "y": "AA"},
            {"kty": "unheard-of", "kid": "other"}
        ]}"#;
        let keys = KeySet::parse(document, Algorithm::Rs256).expect("one key");
        assert_eq!(keys.candidates(Some("rsa")).count(), 1);
        assert_eq!(keys.candidates(None).count(), 1);
        assert_eq!(keys.candidates(Some("encryption")).count(), 0);
        assert!(KeySet::parse(document, Algorithm::Es256).is_err());
        assert!(KeySet::parse(b"<html>", Algorithm::Rs256).is_err());
    }
}
