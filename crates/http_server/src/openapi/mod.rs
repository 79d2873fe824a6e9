//! The parts of the `OpenAPI` document that follow from the platform: problem responses, headers and examples.

mod examples;
mod headers;

pub(crate) use headers::add_headers;

use std::collections::{BTreeMap, BTreeSet};

use auth::{Access, AuthRefusal};
use outcome::{Problem, ProblemType, Refusal};
use serde_json::{Value, json};
use utoipa::openapi::{
    Content, OpenApi, RefOr, Response, ResponseBuilder,
    example::ExampleBuilder,
    extensions::ExtensionsBuilder,
    path::HttpMethod,
    schema::{AllOfBuilder, ObjectBuilder, Ref, Schema, SchemaType, Type},
};

use super::{
    deadline::DeadlineRefusal, fallback::RoutingRefusal, identify::QuotaRefusal,
    load_shedding::LoadSheddingRefusal, refused::PROBLEM_JSON,
};

/// The problem responses of an operation that can be refused with these problem types, each with its status, its name
/// among the components of the document, and the possible codes in its schema.
pub(crate) fn responses(types: &[&'static ProblemType]) -> Vec<(u16, String, Response)> {
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
            let name = format!("{status}.{}", rows.keys().copied().collect::<Vec<_>>().join("."));
            let rows: Vec<_> = rows.into_values().collect();
            (status, name, response(&rows))
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
    let mut response = ResponseBuilder::new()
        .description(titles.join("; "))
        .content(PROBLEM_JSON, content.build())
        .build();
    headers::add_problem_headers(&mut response, rows);
    response
}

fn example(row: &'static ProblemType) -> Value {
    let problem = Problem::new(row, row.title);
    json!(problem.body(
        "01981f6e-7c1a-7a3e-9d55-3a0a2b6f6c10",
        "4bf92f3577b34da6a3ce929d0e0e4736"
    ))
}

/// Adds the schema of problems to the document, the problems that belong to no operation, the shared headers and the
/// examples.
pub(super) fn complete(document: &mut OpenApi) {
    headers::define(document);
    examples::add(document);
    let components = document.components.get_or_insert_default();
    components.schemas.insert("Problem".into(), problem_schema());
    let fallback: BTreeSet<&str> = RoutingRefusal::problem_types()
        .iter()
        .map(|row| row.code)
        .collect();
    let fallback = fallback.into_iter().chain(["head-too-large"]).collect::<Vec<_>>();
    document.extensions = Some(
        ExtensionsBuilder::new()
            .add("x-problems", json!(fallback))
            .build(),
    );
}

/// The problem types of the layers in front of an operation.
pub(crate) fn layer_problems(access: Access) -> Vec<&'static ProblemType> {
    let mut rows = vec![&outcome::common::INTERNAL];
    rows.extend(
        LoadSheddingRefusal::problem_types()
            .into_iter()
            .filter(|row| row.code != "head-too-large"),
    );
    rows.extend(DeadlineRefusal::problem_types());
    rows.extend(QuotaRefusal::problem_types());
    if access != Access::Public {
        rows.extend(AuthRefusal::problem_types());
    }
    rows
}

/// The method of an operation in the `OpenAPI` document.
///
/// # Panics
/// When `#[operation]` does not accept the method.
pub(crate) fn method_of(method: &str) -> HttpMethod {
    match method {
        "GET" => HttpMethod::Get,
        "POST" => HttpMethod::Post,
        "PUT" => HttpMethod::Put,
        "PATCH" => HttpMethod::Patch,
        "DELETE" => HttpMethod::Delete,
        other => panic!("`#[operation]` does not accept the method {other}"),
    }
}

/// The schema of problem details (RFC 9457), with the extension members of this service.
fn problem_schema() -> RefOr<Schema> {
    let string = || ObjectBuilder::new().schema_type(SchemaType::Type(Type::String));
    let error = ObjectBuilder::new()
        .description(Some(
            "One error in the input, located by a JSON pointer, a parameter or a header.",
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
        .description(Some("Problem details of a refused request (RFC 9457)."))
        .property("type", string())
        .property("title", string())
        .property("status", integer)
        .property("detail", string())
        .property("code", string())
        .property("request_id", string())
        .property("trace_id", string())
        .property("retryable", boolean)
        .property(
            "origin",
            string().enum_values(Some(["client", "capacity", "dependency", "service"])),
        )
        .property("advice", string())
        .property("user_message", string())
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
        "origin",
        "advice",
        "user_message",
    ] {
        schema = schema.required(required);
    }
    schema.build().into()
}
