//! The macro of refusals.

/// As [`outcome::refusal!`], for enums that a handler, an extractor or a layer answers with:
/// adds the way into an HTTP response and into the OpenAPI document.
#[macro_export]
macro_rules! refusal {
    ($(#[$doc:meta])* pub enum $name:ident { $($body:tt)* }) => {
        $crate::outcome::refusal! { $(#[$doc])* pub enum $name { $($body)* } }

        impl From<$name> for $crate::actix_web::Error {
            fn from(refusal: $name) -> Self {
                $crate::refuse(refusal)
            }
        }

        impl $crate::utoipa::IntoResponses for $name {
            fn responses() -> std::collections::BTreeMap<
                String,
                $crate::utoipa::openapi::RefOr<$crate::utoipa::openapi::Response>,
            > {
                $crate::openapi::responses(&<$name as $crate::outcome::Refusal>::problem_types())
            }
        }
    };
}
