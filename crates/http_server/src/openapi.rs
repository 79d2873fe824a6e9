//! Refusals in the OpenAPI document: one response per operation and status, whose schema lists the codes.

use std::collections::{BTreeMap, BTreeSet};

use outcome::{Catalogue, Problem, ProblemType, Refusal};
use serde_json::{Value, json};
use utoipa::openapi::{
    Content, OpenApi, RefOr, Response, ResponseBuilder,
    example::ExampleBuilder,
    extensions::ExtensionsBuilder,
    path::{Operation, ParameterIn},
    schema::{AllOfBuilder, ObjectBuilder, Ref, Schema, SchemaType, Type},
};

use super::{
    admit::AdmissionRefusal,
    auth::AuthRefusal,
    deadline::DeadlineRefusal,
    extract::{BodyRefusal, KeyRefusal, PathRefusal, QueryRefusal},
    quota::QuotaRefusal,
    refused::PROBLEM_JSON,
    routes::operations,
    routing::RoutingRefusal,
};

/// The responses of an operation that can answer with these problems.
pub fn responses(types: &[&'static ProblemType]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<u16, BTreeMap<&str, &'static ProblemType>> = BTreeMap::new();
    for row in types {
        by_status
            .entry(row.status.as_u16())
            .or_default()
            .insert(row.code, row);
    }
    by_status
        .into_iter()
        .map(|(status, rows)| {
            let rows: Vec<_> = rows.into_values().collect();
            (status.to_string(), RefOr::T(response(&rows)))
        })
        .collect()
}

fn response(rows: &[&'static ProblemType]) -> Response {
    let codes = ObjectBuilder::new().property(
        "code",
        ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .enum_values(Some(rows.iter().map(|row| row.code))),
    );
    let schema = AllOfBuilder::new()
        .item(Ref::from_schema_name("Problem"))
        .item(codes)
        .build();
    let mut content = Content::builder().schema(Some(Schema::AllOf(schema)));
    for row in rows {
        let example = ExampleBuilder::new()
            .summary(row.title)
            .value(Some(example(row)))
            .build();
        content = content.examples_from_iter([(row.code, example)]);
    }
    let titles: Vec<&str> = rows.iter().map(|row| row.title).collect();
    ResponseBuilder::new()
        .description(titles.join("; "))
        .content(PROBLEM_JSON, content.build())
        .build()
}

fn example(row: &'static ProblemType) -> Value {
    let problem = Problem::new(row, row.title);
    json!(problem.body(
        "01981f6e-7c1a-7a3e-9d55-3a0a2b6f6c10",
        "4bf92f3577b34da6a3ce929d0e0e4736"
    ))
}

/// Completes the document: what the layers in front of each operation can answer, the problem schema,
/// and the problems that belong to no operation.
pub(super) fn complete(document: &mut OpenApi, catalogue: Catalogue) {
    for item in document.paths.paths.values_mut() {
        for operation in operations_mut(item) {
            let mut rows = declared(operation, catalogue);
            rows.extend(in_front_of(operation));
            operation.responses.responses.extend(responses(&rows));
        }
    }
    let components = document.components.get_or_insert_default();
    components.schemas.insert("Problem".into(), problem_schema());
    let unrouted: BTreeSet<&str> = RoutingRefusal::problem_types()
        .iter()
        .map(|row| row.code)
        .collect();
    let unrouted = unrouted.into_iter().chain(["head-too-large"]).collect::<Vec<_>>();
    document.extensions = Some(
        ExtensionsBuilder::new()
            .add("x-problems", json!(unrouted))
            .build(),
    );
}

fn operations_mut(item: &mut utoipa::openapi::PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut item.get,
        &mut item.post,
        &mut item.put,
        &mut item.patch,
        &mut item.delete,
    ]
    .into_iter()
    .filter_map(Option::as_mut)
}

/// The problems that the operation itself declares; the examples are keyed by code.
fn declared(operation: &Operation, catalogue: Catalogue) -> Vec<&'static ProblemType> {
    let responses = operation.responses.responses.values();
    let contents = responses.filter_map(|response| match response {
        RefOr::T(response) => response.content.get(PROBLEM_JSON),
        RefOr::Ref(_) => None,
    });
    let contents = contents.filter_map(|content| match content {
        RefOr::T(content) => Some(content),
        RefOr::Ref(_) => None,
    });
    contents
        .flat_map(|content| content.examples.keys())
        .filter_map(|code| catalogue.find(code))
        .collect()
}

/// The problems of the layers in front of an operation, as they apply to it.
fn in_front_of(operation: &Operation) -> Vec<&'static ProblemType> {
    let has = |place: ParameterIn| {
        operation
            .parameters
            .iter()
            .flatten()
            .any(|parameter| matches!(parameter, RefOr::T(parameter) if parameter.parameter_in == place))
    };
    let mut rows = vec![&outcome::common::INTERNAL];
    rows.extend(
        AdmissionRefusal::problem_types()
            .into_iter()
            .filter(|row| row.code != "head-too-large"),
    );
    rows.extend(DeadlineRefusal::problem_types());
    rows.extend(QuotaRefusal::problem_types());
    if operation.security.is_some() {
        rows.extend(AuthRefusal::problem_types());
    }
    if operation.request_body.is_some() {
        rows.extend(BodyRefusal::problem_types());
    }
    if has(ParameterIn::Header) {
        rows.extend(KeyRefusal::problem_types());
    }
    if has(ParameterIn::Path) {
        rows.extend(PathRefusal::problem_types());
    }
    if has(ParameterIn::Query) {
        rows.extend(QueryRefusal::problem_types());
    }
    rows
}

/// RFC 9457, with what this service adds.
fn problem_schema() -> RefOr<Schema> {
    let string = || ObjectBuilder::new().schema_type(SchemaType::Type(Type::String));
    let error = ObjectBuilder::new()
        .description(Some(
            "One fault in the input, at a JSON pointer, a parameter or a header.",
        ))
        .property("pointer", string())
        .property("parameter", string())
        .property("header", string())
        .property("code", string())
        .property("detail", string())
        .required("code")
        .required("detail");
    let integer = ObjectBuilder::new().schema_type(SchemaType::Type(Type::Integer));
    let boolean = ObjectBuilder::new().schema_type(SchemaType::Type(Type::Boolean));
    let mut schema = ObjectBuilder::new()
        .description(Some("A refused request (RFC 9457)."))
        .property("type", string())
        .property("title", string())
        .property("status", integer)
        .property("detail", string())
        .property("code", string())
        .property("request_id", string())
        .property("trace_id", string())
        .property("retryable", boolean)
        .property("outcome", string().enum_values(Some(["unknown"])))
        .property("errors", error.to_array_builder());
    for required in [
        "type",
        "title",
        "status",
        "detail",
        "code",
        "request_id",
        "trace_id",
        "retryable",
    ] {
        schema = schema.required(required);
    }
    schema.build().into()
}

/// The codes that an operation may answer with under a status, by the document; for tests.
pub fn declared_codes(document: &Value, template: &str, method: &str, status: u16) -> Vec<String> {
    let method = method.to_lowercase();
    let examples = &document["paths"][template][method]["responses"][status.to_string()]["content"]
        [PROBLEM_JSON]["examples"];
    examples
        .as_object()
        .map(|examples| examples.keys().cloned().collect())
        .unwrap_or_default()
}

/// Every scope that an operation of the document wants.
pub fn scopes(document: &OpenApi) -> BTreeSet<String> {
    let operations = document.paths.paths.values().flat_map(operations);
    let requirements = operations
        .filter_map(|(_, operation)| operation.security.as_ref())
        .flatten();
    // The library keeps the scopes of a requirement to itself, but writes them.
    let written = requirements.map(|requirement| json!(requirement));
    let scopes = written
        .filter_map(|requirement| requirement["bearer"].as_array().cloned())
        .flatten();
    scopes
        .filter_map(|scope| scope.as_str().map(str::to_owned))
        .collect()
}
