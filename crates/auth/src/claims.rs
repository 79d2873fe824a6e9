//! The claims of a token.

use serde::Deserialize;

use crate::AuthRefusal;

/// The longest subject in bytes, as in OpenID Connect (Core, section 2). An index of Postgres could not hold one of
/// several kilobytes.
const MAX_SUBJECT: usize = 255;

/// The claims of a valid token. They are not `Debug`, since subjects are personal data.
#[derive(Clone)]
pub struct Claims {
    subject: String,
    subject_hash: String,
    scopes: Vec<String>,
}

/// The claims as providers send them.
#[derive(Deserialize)]
pub(crate) struct RawClaims {
    sub: String,
    /// RFC 8693, section 4.2: words separated by spaces. Some providers send a list.
    scope: Option<Words>,
    /// Microsoft Entra ID and Okta.
    scp: Option<Words>,
    /// Auth0.
    permissions: Option<Words>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    Text(String),
    List(Vec<String>),
    /// Not a form of scopes: the token has none.
    Other(serde::de::IgnoredAny),
}

impl Words {
    fn into_vec(self) -> Vec<String> {
        match self {
            Self::Text(text) => text.split_ascii_whitespace().map(str::to_owned).collect(),
            Self::List(list) => list,
            Self::Other(_) => Vec::new(),
        }
    }
}

impl RawClaims {
    /// The claims, unless the subject cannot be used; the error says why.
    pub(crate) fn checked(self, hash: impl FnOnce(&str) -> String) -> Result<Claims, &'static str> {
        if self.sub.is_empty() || self.sub.len() > MAX_SUBJECT {
            return Err("the subject must have 1 to 255 bytes");
        }
        // Postgres cannot store U+0000.
        if self.sub.contains('\0') {
            return Err("the subject contains U+0000");
        }
        let scopes = [self.scope, self.scp, self.permissions];
        Ok(Claims {
            subject_hash: hash(&self.sub),
            subject: self.sub,
            scopes: scopes.into_iter().flatten().flat_map(Words::into_vec).collect(),
        })
    }
}

impl Claims {
    /// The subject: who is calling.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The subject as a [keyed hash](crate::KeyedHash), for logs and keys.
    pub fn subject_hash(&self) -> &str {
        &self.subject_hash
    }

    /// Refuses a token without this scope.
    ///
    /// # Errors
    /// 403, naming the scope.
    pub fn require(&self, scope: &'static str) -> Result<(), AuthRefusal> {
        if self.scopes.iter().any(|own| own == scope) {
            Ok(())
        } else {
            Err(AuthRefusal::missing(scope))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn claims(json: &serde_json::Value) -> Result<Claims, &'static str> {
        let raw: RawClaims = serde_json::from_value(json.clone()).map_err(|_| "not claims")?;
        raw.checked(str::to_owned)
    }

    #[test]
    fn scopes_are_read_in_the_forms_that_providers_use() {
        for (scopes, expected) in [
            (json!({ "scope": "read write" }), vec!["read", "write"]),
            (json!({ "scope": ["read", "write"] }), vec!["read", "write"]),
            (json!({ "scp": "read" }), vec!["read"]),
            (json!({ "scp": ["read"] }), vec!["read"]),
            (json!({ "permissions": ["read"] }), vec!["read"]),
            (
                json!({ "scope": "openid", "permissions": ["read"] }),
                vec!["openid", "read"],
            ),
            (json!({ "scope": { "read": true } }), vec![]),
            (json!({ "scope": null }), vec![]),
            (json!({}), vec![]),
        ] {
            let mut token = scopes.clone();
            token["sub"] = json!("alice");
            let read = claims(&token).map(|claims| claims.scopes).expect("claims");
            assert_eq!(read, expected, "{scopes}");
        }
    }

    #[test]
    fn subjects_have_a_length_that_every_store_can_hold() {
        let subject = |length: usize| claims(&json!({ "sub": "x".repeat(length) })).is_ok();
        assert!(subject(1) && subject(255));
        assert!(!subject(0) && !subject(256));
        assert!(claims(&json!({ "sub": 7 })).is_err());
    }

    proptest! {
        #[test]
        fn any_json_is_claims_or_refused(sub in ".{0,300}", scope in ".{0,40}", key in "scope|scp|permissions|other") {
            let read = claims(&json!({ "sub": sub, key: scope }));
            prop_assert_eq!(read.is_ok(), (1..=255).contains(&sub.len()) && !sub.contains('\0'));
        }
    }
}
