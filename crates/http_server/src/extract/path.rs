//! Path parameters.

use std::{
    future::{Ready, ready},
    str::FromStr,
};

use actix_web::{Error, FromRequest, HttpRequest, dev::Payload};
use macros::Refusal;
use outcome::{FieldError, Location, Refusal as _, common, validation::nul_error};
use utoipa::{
    PartialSchema,
    openapi::{KnownFormat, Object, RefOr, Schema, SchemaFormat, Type},
};
use uuid::Uuid;

use crate::{
    operations::{Argument, Description, sealed_argument as sealed},
    refuse,
};

/// The ways a path can be refused.
#[derive(Debug, Refusal)]
pub enum PathRefusal {
    /// 400: a path parameter cannot be parsed.
    #[problem(common::INVALID_PATH, "the path failed validation")]
    Invalid(FieldError),
}

/// A type that a path parameter can have.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a path parameter",
    label = "not a path parameter",
    note = "use a `String`, a `Uuid` or a number, or implement `PathParameter` for your own type"
)]
pub trait PathParameter: FromStr + 'static {
    /// The description of the parameter in the `OpenAPI` document.
    const DESCRIPTION: Option<&'static str> = None;

    /// The schema of the parameter in the `OpenAPI` document.
    fn schema() -> RefOr<Schema>;
}

impl PathParameter for Uuid {
    fn schema() -> RefOr<Schema> {
        let mut text = Object::with_type(Type::String);
        text.format = Some(SchemaFormat::KnownFormat(KnownFormat::Uuid));
        text.into()
    }
}

macro_rules! primitive {
    ($($primitive:ty)*) => {
        $(
            impl PathParameter for $primitive {
                fn schema() -> RefOr<Schema> {
                    <$primitive as PartialSchema>::schema()
                }
            }
        )*
    };
}

primitive! { String i32 i64 u32 u64 }

/// All parameters of a path, in path order: a single one, or a tuple of two or three.
pub trait PathParameters: Sized + 'static {
    /// Parses the values; the error is the index of the first value that cannot be parsed.
    #[doc(hidden)]
    fn read(values: &[String]) -> Result<Self, usize>;

    /// The descriptions and schemas of the parameters.
    #[doc(hidden)]
    fn describe() -> Vec<PathValue>;
}

/// The description and schema of one path parameter in the OpenAPI document.
#[doc(hidden)]
pub struct PathValue {
    pub(crate) description: Option<&'static str>,
    pub(crate) schema: RefOr<Schema>,
}

impl PathValue {
    fn of<T: PathParameter>() -> Self {
        Self {
            description: T::DESCRIPTION,
            schema: T::schema(),
        }
    }
}

fn read<T: PathParameter>(values: &[String], index: usize) -> Result<T, usize> {
    let value = values.get(index).and_then(|value| value.parse().ok());
    value.ok_or(index)
}

impl<T: PathParameter> PathParameters for T {
    fn read(values: &[String]) -> Result<Self, usize> {
        read(values, 0)
    }

    fn describe() -> Vec<PathValue> {
        vec![PathValue::of::<T>()]
    }
}

impl<A: PathParameter, B: PathParameter> PathParameters for (A, B) {
    fn read(values: &[String]) -> Result<Self, usize> {
        Ok((read(values, 0)?, read(values, 1)?))
    }

    fn describe() -> Vec<PathValue> {
        vec![PathValue::of::<A>(), PathValue::of::<B>()]
    }
}

impl<A: PathParameter, B: PathParameter, C: PathParameter> PathParameters for (A, B, C) {
    fn read(values: &[String]) -> Result<Self, usize> {
        Ok((read(values, 0)?, read(values, 1)?, read(values, 2)?))
    }

    fn describe() -> Vec<PathValue> {
        vec![PathValue::of::<A>(), PathValue::of::<B>(), PathValue::of::<C>()]
    }
}

/// The parameters of the path: a single [`PathParameter`], or a tuple with one for each parameter of the path.
pub struct Path<T>(pub T);

impl<T: PathParameters> FromRequest for Path<T> {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let invalid = |index: usize, error: fn(Location) -> FieldError| {
            let name = request
                .match_info()
                .iter()
                .nth(index)
                .map_or("path", |(name, _)| name);
            refuse(PathRefusal::Invalid(error(Location::Parameter(name.to_owned()))))
        };
        let Some(values) = values(request) else {
            let undecodable = request
                .match_info()
                .iter()
                .position(|(_, value)| !is_decodable(value));
            return ready(Err(invalid(undecodable.unwrap_or(0), not_an_identifier)));
        };
        if let Some(index) = values.iter().position(|value| value.contains('\0')) {
            return ready(Err(invalid(index, nul_error)));
        }
        ready(match T::read(&values) {
            Ok(value) => Ok(Self(value)),
            Err(index) => Err(invalid(index, not_an_identifier)),
        })
    }
}

/// The decoded values of the path parameters, in path order; `None` if they cannot be decoded.
pub(super) fn values(request: &HttpRequest) -> Option<Vec<String>> {
    let values = actix_web::web::Path::<Vec<String>>::from_request(request, &mut Payload::None);
    values.into_inner().ok().map(actix_web::web::Path::into_inner)
}

/// Whether a percent-encoded value is UTF-8 once it is decoded.
fn is_decodable(value: &str) -> bool {
    // Its separators are not among what a path segment can contain undecoded.
    let bytes = value.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    let (decoded, _) = form_urlencoded::parse(bytes.as_bytes())
        .next()
        .unwrap_or_default();
    !decoded.contains(char::REPLACEMENT_CHARACTER)
}

fn not_an_identifier(location: Location) -> FieldError {
    FieldError::new(location, "type", "is not a valid identifier")
}

impl<T> sealed::Argument for Path<T> {}

impl<T: PathParameters> Argument for Path<T> {
    fn describe(description: &mut Description) {
        description.path_values(T::describe());
        description.refusals(&PathRefusal::problem_types());
    }
}
