//! Faults that can be injected into an endpoint.

use std::{collections::HashMap, sync::Mutex, sync::PoisonError, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse,
    body::SizedStream,
    http::{StatusCode, header},
    web::Bytes,
};
use futures_util::stream;
use serde::{Deserialize, Serialize};

/// Internal text of the supplier, which must never reach the clients of the API.
const INTERNAL_TEXT: &str = "supplier-internal: java.lang.NullPointerException at com.supplier.Quotes";
/// The end of a hang, so that the supplier itself leaks no requests.
const HANG: Duration = Duration::from_mins(1);
const HUGE: usize = 64 * 1024 * 1024;

/// An endpoint that faults can be injected into.
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

/// A fault of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum Fault {
    /// A response that is delayed.
    Latency {
        /// The delay in milliseconds.
        ms: u64,
    },
    /// 500 for a fraction of the requests.
    ErrorShare {
        /// The fraction, 0.0 to 1.0.
        share: f64,
    },
    /// This status for every request, with an HTML page.
    Status {
        /// 400 to 599.
        status: u16,
    },
    /// 200 with something that is not JSON.
    Garbage,
    /// 200 with JSON that lacks the promised fields.
    WrongShape,
    /// 200 with a body that ends early.
    Truncated,
    /// The request takes effect, and its response ends early.
    ResponseLost,
    /// 200 with 64 MiB of body.
    Huge,
    /// A redirect to the same URL.
    RedirectLoop,
    /// No response.
    Hang,
    /// 401: the client's credentials are not accepted.
    Unauthorized,
    /// 429 with `Retry-After`.
    TooManyRequests {
        /// The value of `Retry-After`, in seconds.
        retry_after: u64,
    },
}

/// The active faults, by endpoint.
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

    /// Whether the response of the endpoint is lost after the request took effect.
    pub(crate) fn loses_response(&self, endpoint: Endpoint) -> bool {
        matches!(self.all().get(&endpoint), Some(Fault::ResponseLost))
    }

    /// Injects the fault of the endpoint. Returns the faulty response; `None` if the endpoint should respond normally.
    pub(crate) async fn inject(&self, endpoint: Endpoint, request: &HttpRequest) -> Option<HttpResponse> {
        let fault = self.all().get(&endpoint).copied()?;
        let page = |status| {
            HttpResponse::build(status)
                .content_type("text/html")
                .body(INTERNAL_TEXT)
        };
        Some(match fault {
            Fault::Latency { ms } => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                return None;
            }
            Fault::ErrorShare { share } if fastrand::f64() < share => page(StatusCode::INTERNAL_SERVER_ERROR),
            Fault::ErrorShare { .. } => return None,
            Fault::Status { status } => page(StatusCode::from_u16(status).unwrap_or(StatusCode::IM_A_TEAPOT)),
            Fault::Garbage => page(StatusCode::OK),
            Fault::WrongShape => HttpResponse::Ok().json(serde_json::json!({ "words": INTERNAL_TEXT })),
            Fault::Truncated => truncated(),
            Fault::ResponseLost => return None,
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
                .body(INTERNAL_TEXT),
        })
    }
}

/// A response whose body ends early.
pub(crate) fn truncated() -> HttpResponse {
    let chunks = [
        Ok(Bytes::from_static(b"{\"total_")),
        Err(std::io::Error::other("cut")),
    ];
    HttpResponse::Ok()
        .content_type("application/json")
        .body(SizedStream::new(100, stream::iter(chunks)))
}
