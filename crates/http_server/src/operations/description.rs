//! The description of an operation in the `OpenAPI` document, from its arguments and its result.

use std::collections::BTreeMap;

use outcome::ProblemType;
use utoipa::{
    ToSchema,
    openapi::{
        Content, Header, Ref, RefOr, Required, Response, ResponseBuilder, Schema,
        extensions::ExtensionsBuilder,
        link::Link as OpenApiLink,
        path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn},
        request_body::RequestBodyBuilder,
        security::SecurityRequirement,
    },
};

use super::Endpoint;
use crate::{Access, extract::PathValue, openapi};

const JSON: &str = "application/json";

/// Collects the description of one operation in the `OpenAPI` document.
pub struct Description {
    endpoint: Endpoint,
    operation: OperationBuilder,
    path_values: Vec<PathValue>,
    parameters: Vec<Parameter>,
    problems: Vec<&'static ProblemType>,
    schemas: Vec<(String, RefOr<Schema>)>,
    responses: Vec<(u16, Response)>,
}

/// A described operation, and the components that it refers to, by name.
pub(super) struct Described {
    pub(super) operation: Operation,
    pub(super) schemas: Vec<(String, RefOr<Schema>)>,
    pub(super) problems: Vec<(String, Response)>,
}

impl std::fmt::Debug for Description {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Description")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl Description {
    pub(super) fn new(endpoint: &Endpoint) -> Self {
        let mut operation = OperationBuilder::new()
            .tag(endpoint.tag)
            .operation_id(Some(endpoint.id))
            .summary(Some(endpoint.summary))
            .description(Some(endpoint.description).filter(|text| !text.is_empty()));
        let scopes = match endpoint.access {
            Access::Public => None,
            Access::Authenticated => Some(Vec::new()),
            Access::Scope(scope) => Some(vec![scope]),
        };
        if let Some(scopes) = scopes {
            operation = operation.security(SecurityRequirement::new("bearer", scopes));
        }
        Self {
            endpoint: *endpoint,
            operation,
            path_values: Vec::new(),
            parameters: Vec::new(),
            problems: openapi::layer_problems(endpoint.access),
            schemas: Vec::new(),
            responses: Vec::new(),
        }
    }

    /// Sets the parameters of the path, in path order.
    pub(crate) fn path_values(&mut self, values: Vec<PathValue>) {
        self.path_values = values;
    }

    /// Requires an authenticated caller.
    ///
    /// # Panics
    /// When the operation is public.
    pub(crate) fn caller(&self) {
        let Endpoint { access, id, .. } = self.endpoint;
        assert!(access != Access::Public, "{id} takes a `Caller`, but is public");
    }

    /// Adds a header with this schema to the parameters of the operation.
    pub(crate) fn header(
        &mut self,
        name: &str,
        required: Required,
        meaning: &str,
        schema: impl Into<RefOr<Schema>>,
    ) {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(required)
            .description(Some(meaning))
            .schema(Some(schema));
        self.parameter(parameter.build());
    }

    /// Adds a parameter.
    pub(crate) fn parameter(&mut self, parameter: Parameter) {
        self.parameters.push(parameter);
    }

    /// Sets the type of the required JSON body.
    pub(crate) fn body<T: ToSchema>(&mut self) {
        let body = RequestBodyBuilder::new()
            .content(JSON, self.json::<T>())
            .required(Some(Required::True));
        let operation = std::mem::take(&mut self.operation);
        self.operation = operation.request_body(Some(body.build()));
    }

    /// Adds a success with this status, a JSON body of type `T` and these headers.
    pub(crate) fn json_response<T: ToSchema>(&mut self, status: u16, headers: Vec<(&str, Header)>) {
        let content = self.json::<T>();
        let response = ResponseBuilder::new().content(JSON, content);
        self.response(status, with_headers(response, headers));
    }

    /// Adds a success with this status.
    pub(crate) fn response(&mut self, status: u16, response: ResponseBuilder) {
        self.responses.push((status, response.build()));
    }

    /// Adds a header to the success that was added last.
    pub(crate) fn response_header(&mut self, name: &str, header: Header) {
        if let Some((_, response)) = self.responses.last_mut() {
            response.headers.insert(name.to_owned(), RefOr::T(header));
        }
    }

    /// Marks an operation that every service has, with `x-platform`.
    pub(super) fn of_platform(&mut self) {
        let mark = ExtensionsBuilder::new().add("platform", true).build();
        let operation = std::mem::take(&mut self.operation);
        self.operation = operation.extensions(Some(mark));
    }

    /// Adds problem types that the operation can be refused with.
    pub(crate) fn refusals(&mut self, problems: &[&'static ProblemType]) {
        self.problems.extend(problems);
    }

    /// The JSON content of type `T`: a type with fields becomes a named schema, a plain value is inlined.
    fn json<T: ToSchema>(&mut self) -> Content {
        T::schemas(&mut self.schemas);
        let schema = match T::schema() {
            RefOr::T(Schema::Object(plain)) if plain.properties.is_empty() && plain.enum_values.is_none() => {
                plain.into()
            }
            RefOr::T(Schema::Array(list)) => list.into(),
            named => {
                self.schemas.push((T::name().into_owned(), named));
                Ref::from_schema_name(T::name()).into()
            }
        };
        Content::builder().schema(Some::<RefOr<Schema>>(schema)).build()
    }

    /// The operation, and what it refers to.
    ///
    /// # Panics
    /// When the handler takes more or fewer values than the path has parameters.
    pub(super) fn finish(mut self) -> Described {
        let mut operation = self.operation;
        self.parameters
            .splice(..0, path_parameters(&self.endpoint, self.path_values));
        if !self.parameters.is_empty() {
            operation = operation.parameters(Some(self.parameters));
        }
        for (status, mut response) in self.responses {
            openapi::add_headers(&mut response);
            if response.content.contains_key(JSON) {
                response.links = links(&self.endpoint);
            }
            operation = operation.response(status.to_string(), response);
        }
        let mut problems = Vec::new();
        for (status, name, response) in openapi::responses(&self.problems) {
            operation = operation.response(status.to_string(), Ref::from_response_name(&name));
            problems.push((name, response));
        }
        Described {
            operation: operation.build(),
            schemas: self.schemas,
            problems,
        }
    }
}

fn links(endpoint: &Endpoint) -> BTreeMap<String, RefOr<OpenApiLink>> {
    let mut links = BTreeMap::<String, OpenApiLink>::new();
    for link in endpoint.links {
        let known = links.entry(link.operation.to_owned());
        let known = known.or_insert_with(|| OpenApiLink::builder().operation_id(link.operation).build());
        let place = format!("$response.body#{}", link.pointer);
        known.parameters.insert(link.parameter.to_owned(), place.into());
    }
    links.into_iter().map(|(id, link)| (id, RefOr::T(link))).collect()
}

/// The parameters of the path, with the names from the template.
fn path_parameters(endpoint: &Endpoint, values: Vec<PathValue>) -> Vec<Parameter> {
    let segments = endpoint.path.split('{').skip(1);
    let names: Vec<&str> = segments.filter_map(|rest| rest.split('}').next()).collect();
    assert!(
        names.len() == values.len(),
        "{}: `Path` takes {} values, but {} has {}",
        endpoint.id,
        values.len(),
        endpoint.path,
        names.len()
    );
    let parameters = names.into_iter().zip(values).map(|(name, mut value)| {
        let example = endpoint.examples.iter().find(|(parameter, _)| *parameter == name);
        if let (Some((_, example)), RefOr::T(Schema::Object(schema))) = (example, &mut value.schema) {
            schema.example = Some((*example).into());
        }
        let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path);
        parameter
            .required(Required::True)
            .description(value.description)
            .schema(Some(value.schema))
            .build()
    });
    parameters.collect()
}

/// Adds headers to a response.
pub(crate) fn with_headers(response: ResponseBuilder, headers: Vec<(&str, Header)>) -> ResponseBuilder {
    headers
        .into_iter()
        .fold(response, |response, (name, header)| response.header(name, header))
}
