//! Examples of JSON bodies in the `OpenAPI` document, each put together from the examples of its fields.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use utoipa::openapi::{
    KnownFormat, OpenApi, PathItem, RefOr, Schema, SchemaFormat, Type,
    path::Operation,
    schema::{ArrayItems, Object, SchemaType},
};

/// The depth at which a type that contains itself has no example.
const MAX_DEPTH: usize = 8;

type Schemas = BTreeMap<String, RefOr<Schema>>;

/// Adds an example to the JSON bodies of every request and success. A body has none if a required field has none.
pub(super) fn add(document: &mut OpenApi) {
    let schemas = document.components.clone().unwrap_or_default().schemas;
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        let requests = operation.request_body.iter_mut().filter_map(defined);
        let requests = requests.flat_map(|body| body.content.values_mut());
        let responses = operation.responses.responses.values_mut().filter_map(defined);
        let responses = responses.flat_map(|response| response.content.values_mut());
        for content in requests.chain(responses).filter_map(defined) {
            content.example = content
                .schema
                .as_ref()
                .and_then(|schema| example_of(schema, &schemas, 0));
        }
    }
}

/// What is defined in place, not by reference.
fn defined<T>(item: &mut RefOr<T>) -> Option<&mut T> {
    match item {
        RefOr::T(item) => Some(item),
        RefOr::Ref(_) => None,
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let all = [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.patch,
        &mut item.delete,
    ];
    all.into_iter().flatten()
}

fn example_of(schema: &RefOr<Schema>, schemas: &Schemas, depth: usize) -> Option<Value> {
    if depth > MAX_DEPTH {
        return None;
    }
    let inner = |schema: &RefOr<Schema>| example_of(schema, schemas, depth + 1);
    match schema {
        RefOr::Ref(reference) => {
            let name = reference.ref_location.rsplit('/').next()?;
            inner(schemas.get(name)?)
        }
        RefOr::T(schema) if own_example(schema).is_some() => own_example(schema).cloned(),
        RefOr::T(Schema::Object(object)) => of_object(object, inner),
        RefOr::T(Schema::Array(array)) => match &array.items {
            ArrayItems::RefOrSchema(item) => Some(json!([inner(item)?])),
            ArrayItems::False => None,
        },
        RefOr::T(Schema::AllOf(all)) => {
            let mut merged = Map::new();
            for part in &all.items {
                match inner(part)? {
                    Value::Object(fields) => merged.extend(fields),
                    // An optional part, which may be absent.
                    Value::Null => {}
                    _ => return None,
                }
            }
            Some(Value::Object(merged))
        }
        RefOr::T(Schema::OneOf(one)) => {
            let optional = one.items.iter().any(is_null);
            if optional {
                Some(Value::Null)
            } else {
                one.items.iter().find_map(inner)
            }
        }
        RefOr::T(_) => None,
    }
}

/// The example that the type or the field declares itself.
fn own_example(schema: &Schema) -> Option<&Value> {
    match schema {
        Schema::Object(object) => object.example.as_ref(),
        Schema::Array(array) => array.example.as_ref(),
        Schema::AllOf(all) => all.example.as_ref(),
        Schema::OneOf(one) => one.example.as_ref(),
        Schema::AnyOf(any) => any.example.as_ref(),
        _ => None,
    }
}

fn is_null(schema: &RefOr<Schema>) -> bool {
    matches!(schema, RefOr::T(Schema::Object(object)) if object.schema_type == SchemaType::new(Type::Null))
}

fn of_object(object: &Object, inner: impl Fn(&RefOr<Schema>) -> Option<Value>) -> Option<Value> {
    if let Some(choices) = &object.enum_values {
        return choices.first().cloned();
    }
    if object.properties.is_empty() {
        return standard_example(object);
    }
    let mut fields = Map::new();
    for (name, schema) in &object.properties {
        if object.required.contains(name) {
            fields.insert(name.clone(), inner(schema)?);
        } else if let RefOr::T(schema) = schema
            && let Some(example) = own_example(schema)
        {
            fields.insert(name.clone(), example.clone());
        }
    }
    Some(Value::Object(fields))
}

/// The example of a value whose type or format says enough.
fn standard_example(object: &Object) -> Option<Value> {
    match &object.format {
        Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)) => {
            Some(json!("01981f6e-7c1a-7a3e-9d55-3a0a2b6f6c10"))
        }
        Some(SchemaFormat::KnownFormat(KnownFormat::Date)) => Some(json!("2026-01-31")),
        Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)) => Some(json!("2026-01-31T12:00:00Z")),
        _ if object.schema_type == SchemaType::new(Type::Boolean) => Some(json!(true)),
        _ => None,
    }
}
