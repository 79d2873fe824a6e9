//! Query parameters.

use std::future::{Ready, ready};

use actix_web::{Error, FromRequest, HttpRequest, dev::Payload};
use macros::Refusal;
use outcome::{
    FieldError, Location, Refusal as _, common,
    validation::{nul_error, rule_errors, shape_error},
};
use serde::de::DeserializeOwned;
use utoipa::{IntoParams, openapi::path::ParameterIn};
use validator::Validate;

use crate::{
    operations::{Argument, Description, sealed_argument as sealed},
    refuse,
};

/// The ways a query can be refused.
#[derive(Debug, Refusal)]
pub enum QueryRefusal {
    /// 400: the query parameters failed validation.
    #[problem(common::INVALID_QUERY, "the query failed validation")]
    Invalid(Vec<FieldError>),
}

/// Query parameters that have the right shape and passed validation.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned + Validate> FromRequest for Query<T> {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(parse_query(request.query_string()).map(Self).map_err(refuse))
    }
}

fn parse_query<T: DeserializeOwned + Validate>(query: &str) -> Result<T, QueryRefusal> {
    let parameter = |pointer: String| Location::Parameter(pointer.trim_start_matches('/').to_owned());
    let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
    let nul: Vec<FieldError> = form_urlencoded::parse(query.as_bytes())
        .filter(|(_, value)| value.contains('\0'))
        .map(|(name, _)| nul_error(Location::Parameter(name.into_owned())))
        .collect();
    if !nul.is_empty() {
        return Err(QueryRefusal::Invalid(nul));
    }
    let value: T = serde_path_to_error::deserialize(pairs)
        .map_err(|error| QueryRefusal::Invalid(vec![shape_error(&error, parameter)]))?;
    value
        .validate()
        .map_err(|errors| QueryRefusal::Invalid(rule_errors(&errors, &parameter)))?;
    Ok(value)
}

impl<T> sealed::Argument for Query<T> {}

impl<T: DeserializeOwned + Validate + IntoParams + 'static> Argument for Query<T> {
    fn describe(description: &mut Description) {
        for parameter in T::into_params(|| Some(ParameterIn::Query)) {
            description.parameter(parameter);
        }
        description.refusals(&QueryRefusal::problem_types());
    }
}
