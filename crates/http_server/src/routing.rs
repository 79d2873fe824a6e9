//! What happens to requests that no operation serves.

use actix_web::{Error, HttpRequest, HttpResponse, web::Data};
use outcome::{Attach, Problem, common};

use crate::Shared;

crate::refusal! {
    /// How routing refuses.
    pub enum RoutingRefusal {
        /// 404: no route matches.
        RouteNotFound => common::ROUTE_NOT_FOUND, "there is nothing at this address";
        /// 405: the route has other methods, named in `Allow`.
        MethodNotAllowed(allow: Allow) => common::METHOD_NOT_ALLOWED, "this address has other methods";
    }
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
    Err(match request.match_pattern() {
        Some(template) => RoutingRefusal::MethodNotAllowed(Allow(shared.routes.allowed(&template))),
        None => RoutingRefusal::RouteNotFound,
    }
    .into())
}
