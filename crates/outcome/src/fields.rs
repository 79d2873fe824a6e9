//! Input errors, field by field.

use std::borrow::Cow;

use serde::{Serialize, Serializer, ser::SerializeStruct};

/// The location of an input error in the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A value in the JSON body: a JSON pointer (RFC 6901), `""` for the whole document.
    Pointer(String),
    /// A query or path parameter.
    Parameter(String),
    /// A request header.
    Header(&'static str),
}

/// One error in the caller's input: the location and the violated rule, never the rejected value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    location: Location,
    code: Cow<'static, str>,
    detail: Cow<'static, str>,
}

impl FieldError {
    /// An error at `location` that violates the rule `code` (`type`, `missing`, `unknown-field`, `range`, …);
    /// `detail` describes what is expected there.
    pub fn new(
        location: Location,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            location,
            code: code.into(),
            detail: detail.into(),
        }
    }
}

impl Serialize for FieldError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("FieldError", 3)?;
        match &self.location {
            Location::Pointer(pointer) => fields.serialize_field("pointer", pointer)?,
            Location::Parameter(name) => fields.serialize_field("parameter", name)?,
            Location::Header(name) => fields.serialize_field("header", name)?,
        }
        fields.serialize_field("code", &self.code)?;
        fields.serialize_field("detail", &self.detail)?;
        fields.end()
    }
}
