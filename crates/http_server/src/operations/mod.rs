//! Operations: how a service registers them, and what they take and return.

mod adapter;
mod arguments;
mod description;
mod success;

pub(crate) use arguments::sealed as sealed_argument;
pub use arguments::{Argument, Arguments};
pub use description::Description;
pub(crate) use success::sealed;
pub use success::{
    Accepted, Cached, Conditional, Content, Created, Json, Located, MediaType, NoContent, Recorded, Success,
};

use std::{collections::BTreeMap, sync::Arc};

use actix_web::{Handler, guard, http::Method, web};
use auth::Access;
use outcome::Refusal;
use utoipa::openapi::{OpenApi, OpenApiBuilder, Paths, RefOr, Response, Schema};

use self::adapter::Adapter;
use crate::{
    openapi,
    routes::{Routes, Served},
};

/// An operation: the type that `#[operation]` generates under the name of the handler.
pub trait Operation {
    /// Registers the handler.
    fn register(operations: &mut Operations);
}

/// The properties of an operation, from `#[operation]` and the handler's doc comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The HTTP method, in upper case.
    pub method: &'static str,
    /// The path as in the `OpenAPI` document, such as `/v1/invoices/{id}`.
    pub path: &'static str,
    /// Who may call the operation.
    pub access: Access,
    /// The name of the handler, which is the operation's id in the `OpenAPI` document.
    pub id: &'static str,
    /// The tag in the `OpenAPI` document.
    pub tag: &'static str,
    /// The first paragraph of the handler's doc comment.
    pub summary: &'static str,
    /// The rest of the doc comment; may be empty.
    pub description: &'static str,
    /// Where other operations find their parameters in the response.
    pub links: &'static [Link],
    /// Examples of path parameters that no other operation returns, as name and value.
    pub examples: &'static [(&'static str, &'static str)],
}

/// Where another operation finds a parameter in the body of a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The id of the other operation.
    pub operation: &'static str,
    /// The name of its parameter.
    pub parameter: &'static str,
    /// The place of the value in the body, as a JSON pointer.
    pub pointer: &'static str,
}

impl Endpoint {
    /// The HTTP method.
    ///
    /// # Panics
    /// When the method is invalid, which `#[operation]` prevents.
    pub(crate) fn method(&self) -> Method {
        Method::from_bytes(self.method.as_bytes()).expect("`#[operation]` accepts only valid methods")
    }
}

type Register = Arc<dyn Fn(&mut web::ServiceConfig) + Send + Sync>;

/// The operations of a service: their routes and their part of the `OpenAPI` document. Every handler returns
/// `Result<S, R>` with a [`Success`] and an [`outcome::Refusal`], so that each request ends in a designed outcome.
///
/// ```
/// use http_server::{Json, Operations, Refusal, extract::Path, operation};
/// use outcome::common;
///
/// /// The ways a greeting can be refused.
/// #[derive(Debug, Refusal)]
/// pub enum GreetRefusal {
///     /// 404: the name is not known.
///     #[problem(common::ROUTE_NOT_FOUND, "the name is not known")]
///     Unknown,
/// }
///
/// /// Greets by name.
/// #[operation(GET "/v1/greetings/{name}", public)]
/// pub async fn greet(name: Path<String>) -> Result<Json<String>, GreetRefusal> {
///     if name.0 == "ada" { Ok(Json("hello".to_owned())) } else { Err(GreetRefusal::Unknown) }
/// }
///
/// fn operations(operations: &mut Operations) {
///     operations.register::<greet>();
/// }
/// ```
///
/// A handler that builds its own response does not compile, because the response could be an error without a problem:
///
/// ```compile_fail,E0277
/// use std::convert::Infallible;
///
/// use actix_web::HttpResponse;
/// use http_server::operation;
///
/// /// Greets.
/// #[operation(GET "/v1/greeting", public)]
/// pub async fn greet() -> Result<HttpResponse, Infallible> {
///     Ok(HttpResponse::BadGateway().finish())
/// }
/// ```
#[derive(Clone, Default)]
pub struct Operations {
    routes: Routes,
    register: Vec<Register>,
    paths: Paths,
    schemas: BTreeMap<String, RefOr<Schema>>,
    problems: BTreeMap<String, Response>,
    /// Whether those that are being registered are in every service.
    of_platform: bool,
}

impl std::fmt::Debug for Operations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operations")
            .field("routes", &self.routes)
            .finish_non_exhaustive()
    }
}

impl Operations {
    /// Registers an operation by the name of its handler.
    pub fn register<O: Operation>(&mut self) -> &mut Self {
        O::register(self);
        self
    }

    /// Registers operations that every service has, and marks them as such in the document.
    pub(crate) fn of_platform(&mut self, register: impl FnOnce(&mut Self)) {
        self.of_platform = true;
        register(self);
        self.of_platform = false;
    }

    /// Registers a handler; called by the code that `#[operation]` generates.
    ///
    /// # Panics
    /// When the operation can never be reached, its arguments contradict its path or its access, or its name or the
    /// name of one of its schemas is taken.
    #[doc(hidden)]
    pub fn add<F, Args, S, R>(&mut self, endpoint: Endpoint, handler: F)
    where
        F: Handler<Args, Output = Result<S, R>> + Send + Sync,
        Args: Arguments,
        S: Success,
        R: Refusal + 'static,
    {
        self.routes.add(&endpoint);
        let mut description = Description::new(&endpoint);
        Args::describe(&mut description);
        S::describe(&mut description);
        description.refusals(&R::problem_types());
        if self.of_platform {
            description.of_platform();
        }
        let described = description.finish();
        self.problems.extend(described.problems);
        let method = openapi::method_of(endpoint.method);
        self.paths
            .add_path_operation(endpoint.path, vec![method], described.operation);
        for (name, schema) in described.schemas {
            let known = self.schemas.entry(name).or_insert_with_key(|_| schema.clone());
            assert!(
                *known == schema,
                "{}: two types share a name in the OpenAPI document; rename one with `#[schema(as = …)]`",
                endpoint.id
            );
        }
        self.register.push(Arc::new(move |service| {
            // Matches only the requests that the first layer has assigned to this operation.
            let is_this_operation = guard::fn_guard(move |context| {
                let data = context.req_data();
                data.get::<Served>()
                    .is_some_and(|served| served.endpoint == Some(endpoint))
            });
            let route = web::route().to(Adapter::new(handler.clone()));
            service.service(web::resource(endpoint.path).guard(is_this_operation).route(route));
        }));
    }

    /// Registers a service outside of the OpenAPI document that builds its own responses: for tests of how the layers
    /// handle errors that are not problems.
    #[doc(hidden)]
    pub fn raw(&mut self, register: impl Fn(&mut web::ServiceConfig) + Send + Sync + 'static) -> &mut Self {
        self.register.push(Arc::new(register));
        self
    }

    /// The operations by path and method.
    pub fn routes(&self) -> &Routes {
        &self.routes
    }

    /// The paths and schemas of the `OpenAPI` document.
    pub(crate) fn document(&self) -> OpenApi {
        let mut document = OpenApiBuilder::new().paths(self.paths.clone()).build();
        let components = document.components.get_or_insert_default();
        components.schemas.extend(self.schemas.clone());
        let problems = self.problems.iter();
        let problems = problems.map(|(name, response)| (name.clone(), RefOr::T(response.clone())));
        components.responses.extend(problems);
        document
    }

    /// Registers every handler with the framework.
    pub(crate) fn configure(&self, service: &mut web::ServiceConfig) {
        for register in &self.register {
            register(service);
        }
    }
}
