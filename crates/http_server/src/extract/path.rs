//! The values of the path.

use std::{
    future::{Ready, ready},
    str::FromStr,
};

use actix_web::{Error, FromRequest, HttpRequest, dev::Payload};
use macros::Refusal;
use outcome::{FieldError, Location, Refusal as _, common, input::nul_error};
use utoipa::{
    PartialSchema,
    openapi::{KnownFormat, Object, RefOr, Schema, SchemaFormat, Type},
};
use uuid::Uuid;

use crate::{
    operations::{Argument, Description, sealed_argument as sealed},
    refuse,
};

/// How a path can be refused.
#[derive(Debug, Refusal)]
pub enum PathRefusal {
    /// 400: a segment that is not what it should be.
    #[problem(common::INVALID_PATH, "the path breaks rules")]
    Invalid(FieldError),
}

/// A value that a segment of the path can have.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a path parameter",
    label = "not a path parameter",
    note = "take a `String`, a `Uuid` or a number, or implement `PathParameter` for a type of your own"
)]
pub trait PathParameter: FromStr + 'static {
    /// What it is, for the contract.
    const DESCRIPTION: Option<&'static str> = None;

    /// Its type, for the contract.
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

/// All values of a path, in the order in which they stand in it: one, or a tuple of two or three.
pub trait PathParameters: Sized + 'static {
    /// Reads them; the error is the place of the first that cannot be read.
    #[doc(hidden)]
    fn read(values: &[String]) -> Result<Self, usize>;

    /// How the contract describes them.
    #[doc(hidden)]
    fn describe() -> Vec<PathValue>;
}

/// What the contract says of one value.
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

fn read<T: PathParameter>(values: &[String], place: usize) -> Result<T, usize> {
    let value = values.get(place).and_then(|value| value.parse().ok());
    value.ok_or(place)
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

/// The values of the path: one [`PathParameter`], or a tuple of as many as the path has.
pub struct Path<T>(pub T);

impl<T: PathParameters> FromRequest for Path<T> {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let invalid = |place: usize, error: fn(Location) -> FieldError| {
            let name = request
                .match_info()
                .iter()
                .nth(place)
                .map_or("path", |(name, _)| name);
            refuse(PathRefusal::Invalid(error(Location::Parameter(name.to_owned()))))
        };
        let Some(values) = values(request) else {
            return ready(Err(invalid(0, not_an_identifier)));
        };
        if let Some(place) = values.iter().position(|value| value.contains('\0')) {
            return ready(Err(invalid(place, nul_error)));
        }
        ready(match T::read(&values) {
            Ok(value) => Ok(Self(value)),
            Err(place) => Err(invalid(place, not_an_identifier)),
        })
    }
}

/// The values of the path, decoded, in the order in which they stand in it; none where they cannot be decoded.
pub(super) fn values(request: &HttpRequest) -> Option<Vec<String>> {
    let values = actix_web::web::Path::<Vec<String>>::from_request(request, &mut Payload::None);
    values.into_inner().ok().map(actix_web::web::Path::into_inner)
}

fn not_an_identifier(location: Location) -> FieldError {
    FieldError::new(location, "type", "is not an identifier of this service")
}

impl<T> sealed::Argument for Path<T> {}

impl<T: PathParameters> Argument for Path<T> {
    fn describe(description: &mut Description) {
        description.path_values(T::describe());
        description.refusals(&PathRefusal::problem_types());
    }
}
