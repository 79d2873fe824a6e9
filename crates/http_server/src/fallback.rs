//! The response to requests that no operation serves.

use actix_web::{
    Error, HttpRequest, HttpResponse,
    http::{Method, header::ALLOW},
    web::Data,
};
use macros::Refusal;
use outcome::{Attach, Problem, common};

use crate::{Shared, cors::preflight_headers, refuse};

/// The ways routing can refuse a request.
#[derive(Debug, Refusal)]
pub(crate) enum RoutingRefusal {
    /// 404: no route matches the path.
    #[problem(common::ROUTE_NOT_FOUND, "no route matches this path")]
    RouteNotFound,
    /// 405: the path does not support the method; `Allow` lists the methods that it supports.
    #[problem(common::METHOD_NOT_ALLOWED, "this path does not support this method")]
    MethodNotAllowed(Allow),
}

/// The methods that a path supports, for the header `Allow`.
#[derive(Debug)]
pub(crate) struct Allow(String);

impl Attach for Allow {
    fn attach(self, problem: Problem) -> Problem {
        problem.header("allow", self.0)
    }
}

/// The default service. A wrong method ends here too, because methods are guards of the route, and so does `OPTIONS`.
pub(super) async fn fallback(request: HttpRequest, shared: Data<Shared>) -> Result<HttpResponse, Error> {
    let allowed = shared.operations.routes().allowed(request.match_info().as_str());
    match allowed {
        Some(methods) if request.method() == Method::OPTIONS => {
            let mut response = HttpResponse::NoContent();
            for header in preflight_headers(request.method(), request.headers(), &methods) {
                response.insert_header(header);
            }
            Ok(response.insert_header((ALLOW, methods)).finish())
        }
        Some(methods) => Err(refuse(RoutingRefusal::MethodNotAllowed(Allow(methods)))),
        None => Err(refuse(RoutingRefusal::RouteNotFound)),
    }
}
