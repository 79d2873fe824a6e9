//! Who calls, what that costs, and whether it is allowed: verify the token, charge the quota, enforce the scope.

use actix_web::{
    Error, HttpMessage,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header,
    middleware::Next,
};
use macros::Refusal;
use outcome::common;

use crate::{
    Access, RequestExt,
    quota::{client_address, network},
    refuse,
    routes::Served,
};

/// How a quota refuses.
#[derive(Debug, Refusal)]
pub enum QuotaRefusal {
    /// 429: more requests than the quota allows.
    #[problem(common::QUOTA_EXCEEDED, "the quota is used up for the moment")]
    Exceeded(std::time::Duration),
}

/// Verifies the token where the operation needs one, charges one request to its subject, or to the caller's address
/// where there is no valid token, and lets through what is within the quota and has the scope.
pub(super) async fn identify(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let (shared, context) = (request.shared().clone(), request.context());
    let access = Served::of(&request)
        .endpoint
        .map_or(Access::Public, |endpoint| endpoint.access);
    let authorization = request.headers().get(header::AUTHORIZATION);
    let authorization = authorization.map(|value| value.as_bytes());
    let verified = (access != Access::Public).then(|| shared.authenticator.verify(authorization));
    let quota = match &verified {
        Some(Ok(claims)) => {
            let subject = claims.hashed_subject();
            context.set_subject(subject.clone());
            shared.limiter.charge_subject(&context, &subject).await
        }
        _ => {
            let address = client_address(&request, &shared.settings.trusted_proxies);
            let address = address.map_or_else(|| "unknown".to_owned(), network);
            shared.limiter.charge_address(&address)
        }
    };
    context.set_quota(quota);
    if let Some(wait) = quota.wait {
        return Err(refuse(QuotaRefusal::Exceeded(wait)));
    }
    if let Some(verified) = verified {
        let claims = verified.map_err(refuse)?;
        if let Access::Scope(scope) = access {
            claims.require(scope).map_err(refuse)?;
        }
        request.extensions_mut().insert(claims);
    }
    next.call(request).await
}
