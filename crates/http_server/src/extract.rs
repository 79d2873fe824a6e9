//! Extractors: body, query, path and idempotency key, each with its refusals. A handler that takes its
//! input through them cannot answer bad input with anything but a problem.

use std::{
    future::{Ready, ready},
    ops::Deref,
};

use actix_web::{
    Error, FromRequest, HttpMessage, HttpRequest,
    dev::Payload,
    error::PayloadError,
    http::header,
    web::{Bytes, BytesMut, Data},
};
use futures_util::{StreamExt, future::LocalBoxFuture};
use outcome::{FieldError, Location, common};
use resilience::Deadline;
use runtime::RequestContext;
use serde::de::DeserializeOwned;
use validator::Validate;

use super::input_errors::{nul_error, nul_errors, rule_errors, shape_error};
use crate::Shared;

crate::refusal! {
    /// How a body can be refused.
    pub enum BodyRefusal {
        /// 415: not declared as JSON.
        UnsupportedMediaType => common::UNSUPPORTED_MEDIA_TYPE, "the body must be declared as application/json";
        /// 413: over `http.max_body_bytes`.
        TooLarge => common::CONTENT_TOO_LARGE, "the body is over the limit of this service";
        /// 503: too many bodies are arriving at the moment.
        Busy => common::OVERLOADED, "too many bodies are arriving at once";
        /// 408: not there in time.
        TooSlow => common::REQUEST_TIMEOUT, "the body did not arrive in time";
        /// 400: cut short, or not JSON.
        Malformed => common::MALFORMED_JSON, "the body does not parse as JSON";
        /// 400: JSON that breaks rules.
        Invalid(errors: Vec<FieldError>) => common::INVALID_REQUEST, "the body breaks rules";
    }
}

crate::refusal! {
    /// How a query can be refused.
    pub enum QueryRefusal {
        /// 400: parameters that break rules.
        Invalid(errors: Vec<FieldError>) => common::INVALID_QUERY, "the query breaks rules";
    }
}

crate::refusal! {
    /// How a path can be refused.
    pub enum PathRefusal {
        /// 400: a segment that is not what it should be.
        Invalid(error: FieldError) => common::INVALID_PATH, "the path breaks rules";
    }
}

crate::refusal! {
    /// How an idempotency key can be refused.
    pub enum KeyRefusal {
        /// 400: there is none.
        Missing => common::IDEMPOTENCY_KEY_MISSING, "this operation needs an Idempotency-Key header";
        /// 400: not 1 to 255 visible ASCII characters.
        Invalid(error: FieldError) => common::INVALID_REQUEST, "a header breaks rules";
    }
}

fn context(request: &HttpRequest) -> RequestContext {
    request
        .extensions()
        .get::<RequestContext>()
        .expect("set by observe")
        .clone()
}

/// The context of the request, for handlers.
pub struct Context(pub RequestContext);

impl Deref for Context {
    type Target = RequestContext;

    fn deref(&self) -> &RequestContext {
        &self.0
    }
}

impl FromRequest for Context {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(context(request))))
    }
}

/// The state of the service, for handlers.
#[derive(Debug)]
pub struct State<T>(Data<T>);

impl<T> Deref for State<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: 'static> FromRequest for State<T> {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let state = request
            .app_data::<Data<T>>()
            .expect("the state that the service was built with");
        ready(Ok(Self(state.clone())))
    }
}

/// A JSON body that is complete, of the right shape, and within its rules.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned + Validate + 'static> FromRequest for Body<T> {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let bytes = read_body(&request, payload).await?;
            let value: T = parse(&bytes)?;
            value
                .validate()
                .map_err(|errors| BodyRefusal::Invalid(rule_errors(&errors, &Location::Pointer)))?;
            Ok(Self(value))
        })
    }
}

async fn read_body(request: &HttpRequest, mut payload: Payload) -> Result<Bytes, BodyRefusal> {
    let shared = request.app_data::<Data<Shared>>().expect("set by the server");
    let settings = &shared.settings;
    if !is_json(request.content_type()) {
        return Err(BodyRefusal::UnsupportedMediaType);
    }
    let length = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: usize| length > settings.max_body_bytes) {
        return Err(BodyRefusal::TooLarge);
    }
    let _place = shared.uploads.try_enter().ok_or(BodyRefusal::Busy)?;
    let context = context(request);
    context.await_body(settings.body_timeout);
    let read = async {
        let mut body = BytesMut::with_capacity(length.unwrap_or_default());
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|error| match error {
                PayloadError::Overflow => BodyRefusal::TooLarge,
                _ => BodyRefusal::Malformed,
            })?;
            if body.len() + chunk.len() > settings.max_body_bytes {
                return Err(BodyRefusal::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    };
    let body = Deadline::after(settings.body_timeout)
        .bound(read)
        .await
        .map_err(|_| BodyRefusal::TooSlow)??;
    context.body_arrived();
    Ok(body)
}

/// `application/json` or `application/*+json`.
fn is_json(media_type: &str) -> bool {
    let media_type = media_type.trim().to_ascii_lowercase();
    media_type == "application/json"
        || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BodyRefusal> {
    let nul = nul_errors(bytes);
    if !nul.is_empty() {
        return Err(BodyRefusal::Invalid(nul));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        // serde stops at the first fault: the rest may still not be JSON at all.
        let is_json = serde_json::from_slice::<serde_json::Value>(bytes).is_ok();
        if is_json {
            BodyRefusal::Invalid(vec![shape_error(&error, Location::Pointer)])
        } else {
            BodyRefusal::Malformed
        }
    })?;
    json.end().map_err(|_| BodyRefusal::Malformed)?;
    Ok(value)
}

/// A query of the right shape and within its rules.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned + Validate> FromRequest for Query<T> {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(parse_query(request.query_string()).map(Self).map_err(Error::from))
    }
}

fn parse_query<T: DeserializeOwned + Validate>(query: &str) -> Result<T, QueryRefusal> {
    let parameter = |pointer: String| Location::Parameter(pointer.trim_start_matches('/').to_owned());
    let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
    let nul: Vec<FieldError> = form_urlencoded::parse(query.as_bytes())
        .filter(|(_, value)| value.contains('\0'))
        .map(|(name, _)| nul_error(Location::Parameter(name.into_owned())))
        .collect();
    if !nul.is_empty() {
        return Err(QueryRefusal::Invalid(nul));
    }
    let value: T = serde_path_to_error::deserialize(pairs)
        .map_err(|error| QueryRefusal::Invalid(vec![shape_error(&error, parameter)]))?;
    value
        .validate()
        .map_err(|errors| QueryRefusal::Invalid(rule_errors(&errors, &parameter)))?;
    Ok(value)
}

/// A path parameter.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Path<T> {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let name = request
            .match_info()
            .iter()
            .next()
            .map_or("path", |(name, _)| name)
            .to_owned();
        let location = Location::Parameter(name);
        if request.uri().path().contains("%00") {
            return ready(Err(PathRefusal::Invalid(nul_error(location)).into()));
        }
        let path = actix_web::web::Path::<T>::from_request(request, payload).into_inner();
        ready(path.map(|path| Self(path.into_inner())).map_err(|_| {
            let detail = "is not an identifier of this service";
            PathRefusal::Invalid(FieldError::new(location, "type", detail)).into()
        }))
    }
}

/// The caller's name for one intended effect.
pub struct IdempotencyKey(pub String);

impl FromRequest for IdempotencyKey {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let mut values = request.headers().get_all("idempotency-key");
        let Some(value) = values.next() else {
            return ready(Err(KeyRefusal::Missing.into()));
        };
        // Two of them would name two effects.
        let value = Some(value).filter(|_| values.next().is_none());
        let key = value
            .and_then(|value| value.to_str().ok())
            .filter(|key| (1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()));
        ready(key.map(|key| Self(key.to_owned())).ok_or_else(|| {
            let location = Location::Header("Idempotency-Key");
            let detail = "must be one, of 1 to 255 visible ASCII characters";
            KeyRefusal::Invalid(FieldError::new(location, "length", detail)).into()
        }))
    }
}
