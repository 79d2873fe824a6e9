//! What a token may do.

/// A scope that an operation asks for.
pub trait Scope {
    /// As it stands in the token.
    const NAME: &'static str;
}
