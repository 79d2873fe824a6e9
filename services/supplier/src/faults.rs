//! What can be wrong with an endpoint.

use std::{collections::HashMap, sync::Mutex, sync::PoisonError, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse,
    body::SizedStream,
    http::{StatusCode, header},
    web::Bytes,
};
use futures_util::stream;
use serde::{Deserialize, Serialize};

/// Words that must never reach our callers.
const WORDS: &str = "supplier-internal: java.lang.NullPointerException at com.supplier.Quotes";
/// A hang ends with this, so that nothing is left behind in the supplier itself.
const HANG: Duration = Duration::from_secs(60);
const HUGE: usize = 64 * 1024 * 1024;

/// An endpoint that can be made faulty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Endpoint {
    /// `POST /v1/quotes`
    Quotes,
    /// `GET /v1/deliveries/{order_id}`
    Deliveries,
    /// `POST /v1/notifications`
    Notifications,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum Fault {
    /// It answers, but this much later.
    Latency {
        /// Milliseconds.
        ms: u64,
    },
    /// This share of requests gets 500.
    ErrorShare {
        /// From 0 to 1.
        share: f64,
    },
    /// Every request gets this status, with an HTML page.
    Status {
        /// 400 to 599.
        status: u16,
    },
    /// 200 with something that is not JSON.
    Garbage,
    /// 200 with JSON that has not the promised fields.
    WrongShape,
    /// 200 with a body that ends early.
    Truncated,
    /// 200 with 64 MiB of body.
    Huge,
    /// A redirect to itself.
    RedirectLoop,
    /// No answer.
    Hang,
    /// 401: our credentials are not accepted.
    Unauthorized,
    /// 429 with its own `Retry-After`.
    TooManyRequests {
        /// Seconds.
        retry_after: u64,
    },
}

/// The faults that are switched on.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<HashMap<Endpoint, Fault>>);

impl Faults {
    pub(crate) fn set(&self, endpoint: Endpoint, fault: Option<Fault>) {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match fault {
            Some(fault) => faults.insert(endpoint, fault),
            None => faults.remove(&endpoint),
        };
    }

    pub(crate) fn all(&self) -> HashMap<Endpoint, Fault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The faulty answer, unless the endpoint is to answer as it should.
    pub(crate) async fn strike(&self, endpoint: Endpoint, request: &HttpRequest) -> Option<HttpResponse> {
        let fault = self.all().get(&endpoint).copied()?;
        let page = |status| HttpResponse::build(status).content_type("text/html").body(WORDS);
        Some(match fault {
            Fault::Latency { ms } => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                return None;
            }
            Fault::ErrorShare { share } if fastrand::f64() < share => page(StatusCode::INTERNAL_SERVER_ERROR),
            Fault::ErrorShare { .. } => return None,
            Fault::Status { status } => page(StatusCode::from_u16(status).unwrap_or(StatusCode::IM_A_TEAPOT)),
            Fault::Garbage => page(StatusCode::OK),
            Fault::WrongShape => HttpResponse::Ok().json(serde_json::json!({ "words": WORDS })),
            Fault::Truncated => {
                let chunks = [
                    Ok(Bytes::from_static(b"{\"total_")),
                    Err(std::io::Error::other("cut")),
                ];
                HttpResponse::Ok()
                    .content_type("application/json")
                    .body(SizedStream::new(100, stream::iter(chunks)))
            }
            Fault::Huge => {
                let chunk = Bytes::from(vec![b' '; 64 * 1024]);
                let chunks = (0..HUGE / chunk.len()).map(move |_| Ok::<_, std::io::Error>(chunk.clone()));
                HttpResponse::Ok()
                    .content_type("application/json")
                    .streaming(stream::iter(chunks))
            }
            Fault::RedirectLoop => HttpResponse::TemporaryRedirect()
                .insert_header((header::LOCATION, request.uri().to_string()))
                .finish(),
            Fault::Hang => {
                tokio::time::sleep(HANG).await;
                page(StatusCode::GATEWAY_TIMEOUT)
            }
            Fault::Unauthorized => page(StatusCode::UNAUTHORIZED),
            Fault::TooManyRequests { retry_after } => HttpResponse::TooManyRequests()
                .insert_header((header::RETRY_AFTER, retry_after))
                .content_type("text/html")
                .body(WORDS),
        })
    }
}
