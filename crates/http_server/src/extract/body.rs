//! The request body.

use actix_web::{
    Error, FromRequest, HttpMessage, HttpRequest,
    dev::Payload,
    error::PayloadError,
    http::header,
    web::{Bytes, BytesMut},
};
use futures_util::{StreamExt, future::LocalBoxFuture};
use macros::Refusal;
use outcome::{Attach, FieldError, Location, Problem, Refusal as _, common, validation::rule_errors};
use resilience::Deadline;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;
use validator::Validate;

use crate::{
    RequestExt,
    extract::json,
    operations::{Argument, Description, sealed_argument as sealed},
    refuse,
};

/// The ways a request body can be refused.
#[derive(Debug, Refusal)]
pub enum BodyRefusal {
    /// 415: the body is not declared as JSON.
    #[problem(
        common::UNSUPPORTED_MEDIA_TYPE,
        "the body must be declared as application/json"
    )]
    UnsupportedMediaType,
    /// 415: the body is compressed.
    #[problem(common::UNSUPPORTED_MEDIA_TYPE, "the body must not be compressed")]
    UnsupportedEncoding(AcceptIdentity),
    /// 413: the body is larger than `http.max_body_bytes`.
    #[problem(common::CONTENT_TOO_LARGE, "the body exceeds the limit of this service")]
    TooLarge,
    /// 429: the subject has its share of the bodies that are arriving (`rate_limit.max_share`).
    #[problem(
        common::QUOTA_EXCEEDED,
        "too many request bodies of this subject are arriving at the same time"
    )]
    TooManyUploads,
    /// 503: too many bodies are arriving at the same time.
    #[problem(common::OVERLOADED, "too many request bodies are arriving at the same time")]
    Busy,
    /// 408: the body did not arrive within `http.body_timeout`.
    #[problem(common::REQUEST_TIMEOUT, "the body did not arrive in time")]
    TooSlow,
    /// 400: the body is incomplete or not JSON.
    #[problem(common::MALFORMED_JSON, "the body does not parse as JSON")]
    Malformed,
    /// 400: the body is JSON but failed validation.
    #[problem(common::INVALID_REQUEST, "the body failed validation")]
    Invalid(Vec<FieldError>),
}

/// The header that says which encodings are accepted (RFC 9110, section 12.5.3).
#[derive(Debug)]
pub struct AcceptIdentity;

impl Attach for AcceptIdentity {
    fn attach(self, problem: Problem) -> Problem {
        problem.header("accept-encoding", "identity")
    }
}

/// A JSON body that is complete, has the right shape and passed validation.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned + Validate + 'static> FromRequest for Body<T> {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let bytes = read_body(&request, payload).await.map_err(refuse)?;
            let value: T = json::parse(&bytes).map_err(refuse)?;
            value
                .validate()
                .map_err(|errors| refuse(BodyRefusal::Invalid(rule_errors(&errors, &Location::Pointer))))?;
            Ok(Self(value))
        })
    }
}

async fn read_body(request: &HttpRequest, mut payload: Payload) -> Result<Bytes, BodyRefusal> {
    let shared = request.shared();
    let settings = &shared.settings;
    if !is_json(request.content_type()) {
        return Err(BodyRefusal::UnsupportedMediaType);
    }
    let encoding = request.headers().get(header::CONTENT_ENCODING);
    if encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(BodyRefusal::UnsupportedEncoding(AcceptIdentity));
    }
    let length = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: usize| length > settings.max_body_bytes) {
        return Err(BodyRefusal::TooLarge);
    }
    let context = request.context();
    let own_permit = context
        .subject()
        .map(|subject| shared.subject_uploads.try_acquire(subject));
    if matches!(own_permit, Some(None)) {
        return Err(BodyRefusal::TooManyUploads);
    }
    let _permit = shared.uploads.try_acquire().ok_or(BodyRefusal::Busy)?;
    let read = async {
        let mut body = BytesMut::with_capacity(length.unwrap_or_default());
        while let Some(chunk) = payload.next().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(PayloadError::Overflow) => return Err(BodyRefusal::TooLarge),
                // The client has closed the connection, which drops this request.
                Err(PayloadError::Incomplete(_)) => std::future::pending().await,
                Err(_) => return Err(BodyRefusal::Malformed),
            };
            if body.len() + chunk.len() > settings.max_body_bytes {
                return Err(BodyRefusal::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    };
    let limit = settings.body_timeout;
    let read = Deadline::after(limit).timeout(read);
    let body = context.await_body(limit, read).await;
    body.map_err(|_| BodyRefusal::TooSlow)?
}

/// `application/json` or `application/*+json`.
fn is_json(media_type: &str) -> bool {
    let media_type = media_type.trim().to_ascii_lowercase();
    media_type == "application/json"
        || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}

impl<T> sealed::Argument for Body<T> {}

impl<T: DeserializeOwned + Validate + ToSchema + 'static> Argument for Body<T> {
    fn describe(description: &mut Description) {
        description.body::<T>();
        description.refusals(&BodyRefusal::problem_types());
    }
}
