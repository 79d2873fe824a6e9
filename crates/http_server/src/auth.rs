//! Bearer tokens: who calls, and what they may do.

use std::{future::ready, marker::PhantomData, time::Duration};

use actix_web::{
    Error, FromRequest, HttpMessage, HttpRequest,
    body::MessageBody,
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::header,
    middleware::Next,
    web::Data,
};
use jsonwebtoken::{Algorithm as Jwa, DecodingKey, EncodingKey, Header, Validation};
use outcome::{Attach, Problem, common};
use runtime::RequestContext;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Algorithm, AuthSettings, Shared};

crate::refusal! {
    /// How a caller can be turned away.
    pub enum AuthRefusal {
        /// 401: no token, or none that is valid here.
        Unauthenticated(challenge: Challenge) => common::UNAUTHENTICATED, "send a valid bearer token";
        /// 403: the token lacks the scope of this operation.
        Forbidden(scope: MissingScope) => common::FORBIDDEN, "the token lacks the scope of this operation";
    }
}

/// What `WWW-Authenticate` says (RFC 6750).
#[derive(Debug)]
pub struct Challenge {
    token_was_sent: bool,
}

impl Attach for Challenge {
    fn attach(self, problem: Problem) -> Problem {
        let error = if self.token_was_sent {
            ", error=\"invalid_token\""
        } else {
            ""
        };
        problem.header("www-authenticate", format!("Bearer realm=\"api\"{error}"))
    }
}

/// The scope that a token needs and has not.
#[derive(Debug)]
pub struct MissingScope(&'static str);

impl Attach for MissingScope {
    fn attach(self, problem: Problem) -> Problem {
        let challenge = format!(
            "Bearer realm=\"api\", error=\"insufficient_scope\", scope=\"{}\"",
            self.0
        );
        problem.header("www-authenticate", challenge)
    }
}

/// What a valid token says. `Debug` is left out: subjects are personal data.
#[derive(Clone, Serialize, Deserialize)]
struct Claims {
    sub: String,
    #[serde(default)]
    scope: String,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    iss: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    aud: Option<serde_json::Value>,
}

/// Checks tokens.
pub struct Authenticator {
    key: DecodingKey,
    validation: Validation,
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator").finish_non_exhaustive()
    }
}

/// The key that tokens are checked with; the error says what is expected.
pub(crate) fn decoding_key(auth: &AuthSettings) -> Result<DecodingKey, String> {
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
    /// Checks tokens by the rules of the configuration.
    ///
    /// # Errors
    /// When the key cannot be read.
    pub fn new(auth: &AuthSettings) -> anyhow::Result<Self> {
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

    fn check(&self, request: &ServiceRequest) -> Result<Claims, AuthRefusal> {
        let header = request.headers().get(header::AUTHORIZATION);
        let token = header
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let challenge = Challenge {
            token_was_sent: header.is_some(),
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
/// When the algorithm is not HS256: then only the identity provider can sign.
pub fn development_token(
    auth: &AuthSettings,
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

/// Checks the token where the operation wants one. A refusal waits until the quota of its address is charged.
pub(super) async fn authenticate(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let shared = request.app_data::<Data<Shared>>().expect("set by the server");
    if shared
        .routes
        .needs_token(request.match_pattern().as_deref(), request.method())
    {
        let checked = shared.authenticator.check(&request);
        if let Ok(claims) = &checked {
            let context = request
                .extensions()
                .get::<RequestContext>()
                .expect("set by observe")
                .clone();
            context.set_subject(hash(&claims.sub));
        }
        request.extensions_mut().insert(Checked(Some(checked)));
    }
    next.call(request).await
}

/// The result of the check, until the quota has been charged.
struct Checked(Option<Result<Claims, AuthRefusal>>);

/// Refuses a request whose token did not pass, once its address has paid for the try.
pub(super) fn settle(request: &ServiceRequest) -> Result<(), AuthRefusal> {
    let checked = request
        .extensions_mut()
        .get_mut::<Checked>()
        .and_then(|checked| checked.0.take());
    if let Some(checked) = checked {
        request.extensions_mut().insert(checked?);
    }
    Ok(())
}

/// A subject as it may stand in logs and keys: the same for the same subject, and not to be turned back.
fn hash(subject: &str) -> String {
    let digest = Sha256::digest(subject);
    digest[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A scope that an operation asks for.
pub trait Scope {
    /// As it stands in the token.
    const NAME: &'static str;
}

/// No scope in particular: any valid token will do.
pub struct AnyScope;

impl Scope for AnyScope {
    const NAME: &'static str = "";
}

/// Who calls, with the scope `S`. As a handler's first parameter it refuses before the body is read.
pub struct Caller<S> {
    /// The token's subject.
    pub subject: String,
    scope: PhantomData<S>,
}

impl<S: Scope> FromRequest for Caller<S> {
    type Error = Error;
    type Future = std::future::Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let extensions = request.extensions();
        let caller = match extensions.get::<Claims>() {
            None => Err(AuthRefusal::Unauthenticated(Challenge {
                token_was_sent: false,
            })),
            Some(claims) if S::NAME.is_empty() || claims.scope.split(' ').any(|scope| scope == S::NAME) => {
                Ok(Self {
                    subject: claims.sub.clone(),
                    scope: PhantomData,
                })
            }
            Some(_) => Err(AuthRefusal::Forbidden(MissingScope(S::NAME))),
        };
        ready(caller.map_err(Error::from))
    }
}
