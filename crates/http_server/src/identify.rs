//! Authentication, quotas and authorization: verifies the token, charges the quota, enforces the scope.

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
    client_address::{client_address, network},
    refuse,
    routes::Served,
};

/// The ways a quota can refuse a request.
#[derive(Debug, Refusal)]
pub(crate) enum QuotaRefusal {
    /// 429: the request exceeds the quota.
    #[problem(common::QUOTA_EXCEEDED, "the quota is exhausted")]
    Exceeded(std::time::Duration),
}

/// Verifies the token if the operation needs one, charges one request to the token's subject, or to the client's
/// address if there is no valid token, and admits requests that are within the quota and have the scope.
pub(super) async fn identify(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let (shared, context) = (request.shared().clone(), request.context());
    let access = Served::of(&request)
        .endpoint
        .map_or(Access::Public, |endpoint| endpoint.access);
    let authorization = request.headers().get(header::AUTHORIZATION);
    let authorization = authorization.map(actix_web::http::header::HeaderValue::as_bytes);
    let verified = (access != Access::Public).then(|| shared.authenticator.verify(authorization));
    let quota = if let Some(Ok(claims)) = &verified {
        let subject = claims.hashed_subject();
        context.set_subject(subject.clone());
        shared.limiter.charge_subject(&context, &subject).await
    } else {
        let address = client_address(&request, &shared.settings.trusted_proxies);
        let address = address.map_or_else(|| "unknown".to_owned(), network);
        shared.limiter.charge_address(&address)
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
