//! Converts errors of parsers and validators to field errors, which never contain the rejected value.

use serde_json::Value;
use serde_path_to_error::{Path, Segment};
use validator::{ValidationErrors, ValidationErrorsKind};

use crate::{FieldError, Location};

/// Converts a deserialization error of serde. `locate` turns a JSON pointer into a location.
pub fn shape_error<E: std::fmt::Display>(
    error: &serde_path_to_error::Error<E>,
    locate: impl Fn(String) -> Location,
) -> FieldError {
    let message = error.inner().to_string();
    let mut pointer = pointer(error.path());
    let quoted = message.split('`').nth(1).unwrap_or_default();
    let (code, detail) = if message.starts_with("missing field") {
        pointer = format!("{pointer}/{}", escape(quoted));
        ("missing", "is required".to_owned())
    } else if message.starts_with("unknown field") {
        // Some formats include the unknown key in the path, others stop at its parent.
        if !pointer.ends_with(&format!("/{}", escape(quoted))) {
            pointer = format!("{pointer}/{}", escape(quoted));
        }
        ("unknown-field", "is not a known field".to_owned())
    } else if message.starts_with("duplicate field") {
        pointer = format!("{pointer}/{}", escape(quoted));
        ("duplicate-field", "appears twice".to_owned())
    } else {
        ("type", format!("must be {}", expected(&message)))
    };
    FieldError::new(locate(pointer), code, detail)
}

/// What serde expected, in terms of JSON instead of Rust.
fn expected(message: &str) -> &'static str {
    let after = message
        .rsplit_once("expected ")
        .map_or(message, |(_, after)| after);
    let descriptions = [
        ("unknown variant", "one of the values in the contract"),
        ("date", "a date"),
        ("sequence", "an array"),
        ("struct", "an object"),
        ("map", "an object"),
        ("string", "a string"),
        ("bool", "true or false"),
        ("UUID", "a UUID"),
        ("u8", "a whole number, at least 0"),
        ("u16", "a whole number, at least 0"),
        ("u32", "a whole number, at least 0"),
        ("u64", "a whole number, at least 0"),
        ("usize", "a whole number, at least 0"),
        ("i32", "a whole number"),
        ("i64", "a whole number"),
        ("f64", "a number"),
        ("invalid digit", "a whole number, at least 0"),
        ("number too", "a smaller number"),
        ("one of", "one of the values in the contract"),
    ];
    descriptions
        .iter()
        .find(|(pattern, _)| after.contains(pattern) || message.starts_with(pattern))
        .map_or("in the format that the contract specifies", |(_, description)| {
            description
        })
}

fn pointer(path: &Path) -> String {
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(format!("/{index}")),
            Segment::Map { key } => Some(format!("/{}", escape(key))),
            Segment::Enum { variant } => Some(format!("/{}", escape(variant))),
            Segment::Unknown => None,
        })
        .collect()
}

/// Escapes a key for a JSON pointer (RFC 6901).
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The error for text with U+0000, which Postgres cannot store: without this check, the caller's mistake would become
/// an internal error.
pub fn nul_error(location: Location) -> FieldError {
    FieldError::new(location, "character", "must not contain U+0000")
}

/// The largest number of errors of one kind in a response: a body of some kilobytes can contain thousands.
const MAX_ERRORS: usize = 50;

/// An error for each string or key with U+0000 in a JSON body, at most 50; none if the body is not valid JSON.
pub fn nul_errors(body: &[u8]) -> Vec<FieldError> {
    let escaped = b"\\u0000";
    if !body.windows(escaped.len()).any(|window| window == escaped) {
        return Vec::new();
    }
    let mut found = Vec::new();
    if let Ok(value) = serde_json::from_slice(body) {
        collect_nul(&value, "", &mut found);
    }
    found
}

fn collect_nul(value: &Value, pointer: &str, found: &mut Vec<FieldError>) {
    if found.len() >= MAX_ERRORS {
        return;
    }
    match value {
        Value::String(text) if text.contains('\0') => {
            found.push(nul_error(Location::Pointer(pointer.to_owned())));
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(index, item)| collect_nul(item, &format!("{pointer}/{index}"), found)),
        Value::Object(fields) => {
            for (key, item) in fields {
                if found.len() >= MAX_ERRORS {
                    return;
                }
                if key.contains('\0') {
                    // A pointer to the key would repeat it.
                    found.push(nul_error(Location::Pointer(pointer.to_owned())));
                } else {
                    collect_nul(item, &format!("{pointer}/{}", escape(key)), found);
                }
            }
        }
        _ => {}
    }
}

/// All errors that `validator` found, sorted by location.
pub fn rule_errors(errors: &ValidationErrors, locate: &impl Fn(String) -> Location) -> Vec<FieldError> {
    let mut found = Vec::new();
    collect(errors, "", &mut found);
    found.sort();
    // Two rules of one field can have the same message.
    found.dedup();
    found
        .into_iter()
        .map(|(pointer, code, detail)| FieldError::new(locate(pointer), code, detail))
        .collect()
}

fn collect(errors: &ValidationErrors, parent: &str, found: &mut Vec<(String, String, String)>) {
    for (field, kind) in errors.errors() {
        // `validator` reports the rules of a whole struct under `__all__`.
        let pointer = if field == "__all__" {
            parent.to_owned()
        } else {
            format!("{parent}/{}", escape(field))
        };
        match kind {
            ValidationErrorsKind::Field(errors) => found.extend(errors.iter().map(|error| {
                let detail = error
                    .message
                    .as_deref()
                    .unwrap_or("violates a rule of the contract");
                (pointer.clone(), error.code.replace('_', "-"), detail.to_owned())
            })),
            ValidationErrorsKind::Struct(errors) => collect(errors, &pointer, found),
            ValidationErrorsKind::List(items) => {
                for (index, errors) in items {
                    collect(errors, &format!("{pointer}/{index}"), found);
                }
            }
        }
    }
}
