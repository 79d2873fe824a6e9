//! Where the bearer token comes from.

use std::{future::ready, sync::Arc};

use futures_util::future::{BoxFuture, FutureExt};

/// Provides a valid bearer token for each attempt: a client lives longer than a token.
pub trait TokenProvider: Send + Sync + 'static {
    /// A token that is valid now.
    ///
    /// # Errors
    /// Why there is none. The text is part of the error of the call, so it must not contain a secret.
    fn token(&self) -> BoxFuture<'_, Result<String, String>>;
}

/// A token that never changes, for tests and scripts.
impl TokenProvider for String {
    fn token(&self) -> BoxFuture<'_, Result<String, String>> {
        ready(Ok(self.clone())).boxed()
    }
}

impl TokenProvider for &'static str {
    fn token(&self) -> BoxFuture<'_, Result<String, String>> {
        ready(Ok((*self).to_owned())).boxed()
    }
}

impl<T: TokenProvider + ?Sized> TokenProvider for Arc<T> {
    fn token(&self) -> BoxFuture<'_, Result<String, String>> {
        (**self).token()
    }
}
