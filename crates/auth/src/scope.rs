//! What a token may do, and who may call an operation.

/// A scope that an operation asks for.
pub trait Scope {
    /// As it stands in the token.
    const NAME: &'static str;
}

/// Who may call an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Every caller.
    Public,
    /// Callers with a valid token.
    Authenticated,
    /// Callers whose valid token has this scope.
    Scope(&'static str),
}

impl Access {
    /// Callers whose valid token has the scope `S`.
    ///
    /// # Panics
    /// When the scope is empty or contains white space: no token could have it. In a `const` that is a compile error.
    pub const fn scope<S: Scope>() -> Self {
        assert!(is_scope(S::NAME), "a scope is one word");
        Self::Scope(S::NAME)
    }
}

/// RFC 6749, section 3.3, without the quotation mark and the backslash that it leaves out, too.
const fn is_scope(name: &str) -> bool {
    let (bytes, mut at) = (name.as_bytes(), 0);
    while at < bytes.len() {
        if !bytes[at].is_ascii_graphic() || bytes[at] == b'"' || bytes[at] == b'\\' {
            return false;
        }
        at += 1;
    }
    !bytes.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_one_word() {
        assert!(is_scope("orders:read"));
        for wrong in ["", "orders read", "orders\"", "\u{e4}"] {
            assert!(!is_scope(wrong), "{wrong:?}");
        }
    }
}
