//! From the words of parsers and validators to places and rules. Never to the rejected value.

use serde_json::Value;
use serde_path_to_error::{Path, Segment};
use validator::{ValidationErrors, ValidationErrorsKind};

use crate::{FieldError, Location};

/// A fault of shape, as serde reports it.
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
        // Some formats name the unknown key in the path, others stop at its parent.
        if !pointer.ends_with(&format!("/{}", escape(quoted))) {
            pointer = format!("{pointer}/{}", escape(quoted));
        }
        ("unknown-field", "is not a field here".to_owned())
    } else if message.starts_with("duplicate field") {
        pointer = format!("{pointer}/{}", escape(quoted));
        ("duplicate-field", "appears twice".to_owned())
    } else {
        ("type", format!("must be {}", expected(&message)))
    };
    FieldError::new(locate(pointer), code, detail)
}

/// What serde expected, in words of JSON instead of Rust.
fn expected(message: &str) -> &'static str {
    let after = message
        .rsplit_once("expected ")
        .map_or(message, |(_, after)| after);
    let words = [
        ("unknown variant", "one of the values in the contract"),
        ("date", "a date"),
        ("sequence", "an array"),
        ("struct", "an object"),
        ("map", "an object"),
        ("string", "a string"),
        ("bool", "true or false"),
        ("UUID", "a UUID"),
        ("u8", "a whole number, not negative"),
        ("u16", "a whole number, not negative"),
        ("u32", "a whole number, not negative"),
        ("u64", "a whole number, not negative"),
        ("usize", "a whole number, not negative"),
        ("i32", "a whole number"),
        ("i64", "a whole number"),
        ("f64", "a number"),
        ("invalid digit", "a whole number, not negative"),
        ("number too", "a smaller number"),
        ("one of", "one of the values in the contract"),
    ];
    words
        .iter()
        .find(|(word, _)| after.contains(word) || message.starts_with(word))
        .map_or("of the form in the contract", |(_, words)| words)
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

/// RFC 6901.
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Text with U+0000, which Postgres cannot store: told here, it is the caller's fault and not ours.
pub fn nul_error(location: Location) -> FieldError {
    FieldError::new(location, "character", "must not contain U+0000")
}

/// Every string with U+0000 in a JSON body; none where it is not JSON.
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
    match value {
        Value::String(text) if text.contains('\0') => {
            found.push(nul_error(Location::Pointer(pointer.to_owned())))
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(index, item)| collect_nul(item, &format!("{pointer}/{index}"), found)),
        Value::Object(fields) => fields
            .iter()
            .for_each(|(key, item)| collect_nul(item, &format!("{pointer}/{}", escape(key)), found)),
        _ => {}
    }
}

/// Faults against the rules of `validator`, all of them, in the order of their places.
pub fn rule_errors(errors: &ValidationErrors, locate: &impl Fn(String) -> Location) -> Vec<FieldError> {
    let mut found = Vec::new();
    collect(errors, "", &mut found);
    found.sort();
    found
        .into_iter()
        .map(|(pointer, code, detail)| FieldError::new(locate(pointer), code, detail))
        .collect()
}

fn collect(errors: &ValidationErrors, parent: &str, found: &mut Vec<(String, String, String)>) {
    for (field, kind) in errors.errors() {
        // Rules of a whole struct come under `__all__`.
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
                    .unwrap_or("breaks a rule of the contract");
                (pointer.clone(), error.code.replace('_', "-"), detail.to_owned())
            })),
            ValidationErrorsKind::Struct(errors) => collect(errors, &pointer, found),
            ValidationErrorsKind::List(items) => {
                items
                    .iter()
                    .for_each(|(index, errors)| collect(errors, &format!("{pointer}/{index}"), found));
            }
        }
    }
}
