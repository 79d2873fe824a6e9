//! Authentication, quotas and authorization: verifies the token, charges the quota, enforces the scope.

use std::time::Duration;

use actix_web::{
    Error, HttpMessage,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header,
    middleware::Next,
};
use auth::AuthRefusal;
use connections::{client_address, network};
use macros::Refusal;
use outcome::common;
use resilience::Quota;

use crate::{Access, RequestExt, refuse, routes::Served};

/// The ways a quota can refuse a request.
#[derive(Debug, Refusal)]
pub(crate) enum QuotaRefusal {
    /// 429: the request exceeds the quota.
    #[problem(common::QUOTA_EXCEEDED, "the quota is exhausted")]
    Exceeded(Duration),
    /// 429: the subject has its share of the requests in flight (`rate_limit.max_share`).
    #[problem(common::QUOTA_EXCEEDED, "too many requests of this subject are in flight")]
    TooManyInFlight,
}

/// Identifies the caller and admits requests that are within the quota and have the scope.
///
/// A token is always verified first: a caller whose token is not valid must learn that, and a quota would tell it to
/// send the same token again. The quota of its address only decides whether the rejection is recorded.
pub(super) async fn identify(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let (shared, context) = (request.shared().clone(), request.context());
    let access = Served::of(&request)
        .endpoint
        .map_or(Access::Public, |endpoint| endpoint.access);
    if access == Access::Public {
        let quota = charge_address(&request);
        context.set_quota(quota);
        if let Some(wait) = quota.wait {
            return Err(refuse(QuotaRefusal::Exceeded(wait)));
        }
        return next.call(request).await;
    }
    let authorization = request.headers().get(header::AUTHORIZATION);
    let authorization = authorization.map(header::HeaderValue::as_bytes);
    let verified = shared
        .authenticator
        .verify(authorization, context.deadline())
        .await;
    let claims = verified.map_err(|refusal| {
        let rejected = matches!(refusal, AuthRefusal::Unauthenticated(_));
        if rejected && charge_address(&request).wait.is_some() {
            context.set_quiet();
        }
        refuse(refusal)
    })?;
    let subject = claims.subject_hash();
    context.set_subject(subject.to_owned());
    let quota = shared.limiter.charge_subject(&context, subject).await;
    context.set_quota(quota);
    if let Some(wait) = quota.wait {
        return Err(refuse(QuotaRefusal::Exceeded(wait)));
    }
    let permit = shared.subject_in_flight.try_acquire(subject);
    let _permit = permit.ok_or_else(|| refuse(QuotaRefusal::TooManyInFlight))?;
    if let Access::Scope(scope) = access {
        claims.require(scope).map_err(refuse)?;
    }
    request.extensions_mut().insert(claims);
    next.call(request).await
}

/// Charges a request without a valid token to the address of its client.
fn charge_address(request: &ServiceRequest) -> Quota {
    let shared = request.shared();
    let http = &shared.settings;
    let lines = request.headers().get_all(http.forwarded_header.as_str());
    let lines = lines.map(header::HeaderValue::as_bytes);
    let address = request.peer_addr().map_or_else(
        || "unknown".to_owned(),
        |peer| {
            network(client_address(
                peer.ip(),
                lines,
                http.proxies(),
                http.forwarded_header,
            ))
        },
    );
    shared.limiter.charge_address(&address)
}
