//! What happens to requests that no operation serves.

use actix_web::{Error, HttpRequest, HttpResponse, web::Data};
use macros::Refusal;
use outcome::{Attach, Problem, common};

use crate::{Shared, refuse};

/// How routing refuses.
#[derive(Debug, Refusal)]
pub enum RoutingRefusal {
    /// 404: no route matches.
    #[problem(common::ROUTE_NOT_FOUND, "there is nothing at this address")]
    RouteNotFound,
    /// 405: the route has other methods, named in `Allow`.
    #[problem(common::METHOD_NOT_ALLOWED, "this address has other methods")]
    MethodNotAllowed(Allow),
}

/// The methods there are.
#[derive(Debug)]
pub struct Allow(String);

impl Attach for Allow {
    fn attach(self, problem: Problem) -> Problem {
        problem.header("allow", self.0)
    }
}

/// The default service: a wrong method ends here too, since methods are guards of the route.
pub(super) async fn unrouted(request: HttpRequest, shared: Data<Shared>) -> Result<HttpResponse, Error> {
    Err(refuse(
        match shared.operations.routes().allowed(request.match_info().as_str()) {
            Some(methods) => RoutingRefusal::MethodNotAllowed(Allow(methods)),
            None => RoutingRefusal::RouteNotFound,
        },
    ))
}
