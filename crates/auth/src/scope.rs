//! Scopes of tokens, and who may call an operation.

/// A scope that an operation requires.
pub trait Scope {
    /// The name of the scope in a token.
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
    /// If the name is empty or has a character that scopes cannot have, such as white space. In a `const`, this is a
    /// compile error.
    pub const fn scope<S: Scope>() -> Self {
        assert!(is_scope(S::NAME), "a scope must be one word");
        Self::Scope(S::NAME)
    }
}

/// Whether `name` is a scope: printable ASCII without space, quotation mark and backslash (RFC 6749, section 3.3).
const fn is_scope(name: &str) -> bool {
    let (bytes, mut index) = (name.as_bytes(), 0);
    while index < bytes.len() {
        if !bytes[index].is_ascii_graphic() || bytes[index] == b'"' || bytes[index] == b'\\' {
            return false;
        }
        index += 1;
    }
    !bytes.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_one_word() {
        assert!(is_scope("orders:read"));
        for invalid in ["", "orders read", "orders\"", "\u{e4}"] {
            assert!(!is_scope(invalid), "{invalid:?}");
        }
    }
}
