//! Finds the operation that serves a request by path and method together, as the framework does.

use std::collections::BTreeSet;

use actix_web::{HttpMessage, dev::ResourceDef, dev::ServiceRequest, http::Method};

use crate::{Access, operations::Endpoint};

/// The route label of requests that match no path.
pub(crate) const UNMATCHED: &str = "unmatched";
/// The path of the Swagger UI, as the framework registers it.
pub(crate) const DOCS: &str = "/docs/{_:.*}";
/// The path that redirects to the Swagger UI.
pub(crate) const DOCS_REDIRECT: &str = "/docs";

#[derive(Clone, Debug)]
struct Route {
    pattern: ResourceDef,
    endpoint: Endpoint,
    method: Method,
}

/// The operations of a service by path and method, in the order in which they were registered.
#[derive(Clone, Debug, Default)]
pub struct Routes(Vec<Route>);

/// The operation that serves a request, as the first layer found it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Served {
    /// The route label: the path in the `OpenAPI` document, a path of the Swagger UI, or [`UNMATCHED`].
    pub(crate) template: &'static str,
    /// The operation, if any.
    pub(crate) endpoint: Option<Endpoint>,
}

impl Routes {
    /// Adds an operation.
    ///
    /// # Panics
    /// When an earlier operation takes all of its requests, or has the same name.
    pub(crate) fn add(&mut self, endpoint: &Endpoint) {
        let Endpoint { method, path, id, .. } = endpoint;
        for earlier in &self.0 {
            let same = earlier.endpoint.method == *method && earlier.pattern.is_match(path);
            assert!(
                !same,
                "`{method} {path}` is never reached: `{method} {}` is registered before it",
                earlier.endpoint.path
            );
            assert!(earlier.endpoint.id != *id, "two operations are named `{id}`");
        }
        self.0.push(Route {
            pattern: ResourceDef::new(*path),
            endpoint: *endpoint,
            method: endpoint.method(),
        });
    }

    /// The labels of every operation and page: its method and its route.
    pub(crate) fn labels(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let operations = self
            .0
            .iter()
            .map(|route| (route.endpoint.method, route.endpoint.path));
        operations.chain([DOCS, DOCS_REDIRECT, UNMATCHED].map(|route| ("GET", route)))
    }

    /// Every value of the route label.
    pub fn templates(&self) -> impl Iterator<Item = &'static str> {
        let templates: BTreeSet<&str> = self.labels().map(|(_, route)| route).collect();
        templates.into_iter()
    }

    /// The operation that serves this request. A path that does not support the method keeps its label.
    pub(crate) fn served(&self, request: &ServiceRequest) -> Served {
        let path = request.match_info().as_str();
        let mut at_path = self
            .0
            .iter()
            .filter(|route| route.pattern.is_match(path))
            .peekable();
        let first = at_path.peek().map(|route| route.endpoint.path);
        // A client may ask for the headers of anything that it can get (RFC 9110, section 9.3.2).
        let method = match *request.method() {
            Method::HEAD => &Method::GET,
            ref method => method,
        };
        match at_path.find(|route| route.method == *method) {
            Some(route) => Served {
                template: route.endpoint.path,
                endpoint: Some(route.endpoint),
            },
            None => Served {
                template: first.or_else(|| docs(path)).unwrap_or(UNMATCHED),
                endpoint: None,
            },
        }
    }

    /// Every scope that an operation requires.
    pub fn scopes(&self) -> BTreeSet<&'static str> {
        let scopes = self.0.iter().map(|route| match route.endpoint.access {
            Access::Scope(scope) => Some(scope),
            Access::Public | Access::Authenticated => None,
        });
        scopes.flatten().collect()
    }

    /// The methods that a path supports, for the header `Allow`; `None` if nothing is at the path.
    pub(crate) fn allowed(&self, path: &str) -> Option<String> {
        let at_path = self.0.iter().filter(|route| route.pattern.is_match(path));
        let operations = at_path.map(|route| route.endpoint.method);
        let mut methods: BTreeSet<&str> = operations.chain(docs(path).map(|_| "GET")).collect();
        if methods.is_empty() {
            return None;
        }
        if methods.contains("GET") {
            methods.insert("HEAD");
        }
        methods.insert("OPTIONS");
        Some(Vec::from_iter(methods).join(", "))
    }
}

/// Whether a route serves pages that are the same for every client until the next release.
pub(crate) fn is_page(template: &str) -> bool {
    [DOCS, "/openapi.json", "/problems", "/problems/{code}"].contains(&template)
}

/// The route label of a page of the Swagger UI.
fn docs(path: &str) -> Option<&'static str> {
    let rest = path.strip_prefix(DOCS_REDIRECT)?;
    match rest {
        "" => Some(DOCS_REDIRECT),
        _ => rest.starts_with('/').then_some(DOCS),
    }
}

impl Served {
    /// The operation that the first layer found.
    ///
    /// # Panics
    /// When the first layer has not run.
    pub(crate) fn of(request: &impl HttpMessage) -> Self {
        let served = request.extensions().get::<Self>().copied();
        served.expect("the first layer inserts the operation")
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    /// Without actix-web's `unicode` feature, `regex-lite` matches routes and takes a tenth of a request's time.
    #[test]
    fn routes_are_matched_by_the_fast_regex_engine() {
        let route = ResourceDef::new(r"/{letters:\p{L}+}");
        assert!(route.is_match("/\u{e4}"));
    }

    fn endpoint(method: &'static str, path: &'static str, access: Access) -> Endpoint {
        Endpoint {
            method,
            path,
            access,
            id: path,
            tag: "tag",
            summary: "summary",
            description: "",
            links: &[],
            examples: &[],
        }
    }

    /// A path can match several templates: the method decides which operation serves the request.
    #[test]
    fn an_operation_is_found_by_path_and_method() {
        let mut routes = Routes::default();
        routes.add(&endpoint("GET", "/things/{id}", Access::Scope("read")));
        routes.add(&endpoint("POST", "/things/import", Access::Public));
        let served = |method: &str, path: &str| {
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            let request = TestRequest::with_uri(path).method(method).to_srv_request();
            let served = routes.served(&request);
            (served.template, served.endpoint.map(|endpoint| endpoint.access))
        };
        assert_eq!(
            served("POST", "/things/import"),
            ("/things/import", Some(Access::Public))
        );
        assert_eq!(
            served("GET", "/things/import"),
            ("/things/{id}", Some(Access::Scope("read")))
        );
        assert_eq!(served("PUT", "/things/7"), ("/things/{id}", None));
        assert_eq!(served("GET", "/docs/index.css"), (DOCS, None));
        assert_eq!(served("GET", "/docs"), (DOCS_REDIRECT, None));
        assert_eq!(served("GET", "/docsy"), (UNMATCHED, None));
        assert_eq!(
            routes.allowed("/things/import").as_deref(),
            Some("GET, HEAD, OPTIONS, POST")
        );
        assert_eq!(routes.allowed("/docs/").as_deref(), Some("GET, HEAD, OPTIONS"));
        assert_eq!(routes.allowed("/other"), None);
    }

    #[test]
    #[should_panic(
        expected = "`GET /things/new` is never reached: `GET /things/{id}` is registered before it"
    )]
    fn registering_an_unreachable_operation_panics() {
        let mut routes = Routes::default();
        routes.add(&endpoint("GET", "/things/{id}", Access::Public));
        routes.add(&endpoint("GET", "/things/new", Access::Public));
    }
}
