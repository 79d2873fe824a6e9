/// As [`outcome::refusal!`], for enums that a handler, an extractor or a layer answers with:
/// adds the way into an HTTP response and into the OpenAPI document.
#[macro_export]
macro_rules! refusal {
    ($(#[$doc:meta])* pub enum $name:ident { $($body:tt)* }) => {
        $crate::http::outcome::refusal! { $(#[$doc])* pub enum $name { $($body)* } }

        impl From<$name> for $crate::http::actix_web::Error {
            fn from(refusal: $name) -> Self {
                $crate::http::refuse(refusal)
            }
        }

        impl $crate::http::utoipa::IntoResponses for $name {
            fn responses() -> std::collections::BTreeMap<
                String,
                $crate::http::utoipa::openapi::RefOr<$crate::http::utoipa::openapi::Response>,
            > {
                $crate::http::openapi::responses(&<$name as $crate::http::outcome::Refusal>::problem_types())
            }
        }
    };
}
