//! 200 with a body other than JSON.

use std::{error::Error, marker::PhantomData};

use actix_web::{
    HttpResponse,
    body::{BodyStream, BoxBody},
    web::Bytes,
};
use futures_util::Stream;
use utoipa::openapi::{Object, ResponseBuilder, Type, content::Content as MediaTypeObject};

use super::{Success, sealed};
use crate::operations::Description;

/// A media type, such as `text/csv`.
pub trait MediaType: 'static {
    /// The name in `Content-Type` and in the `OpenAPI` document.
    const NAME: &'static str;
}

/// 200 with bytes or a stream of the media type `M`.
///
/// A stream that fails closes the connection, so that the client sees that the body is incomplete.
pub struct Content<M> {
    body: BoxBody,
    media_type: PhantomData<fn() -> M>,
}

impl<M: MediaType> std::fmt::Debug for Content<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content")
            .field("media_type", &M::NAME)
            .finish_non_exhaustive()
    }
}

impl<M> Content<M> {
    /// A body of text or bytes.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self {
            body: BoxBody::new(bytes.into()),
            media_type: PhantomData,
        }
    }

    /// A body whose chunks are sent as they become available.
    pub fn stream<E: Into<Box<dyn Error>> + 'static>(
        chunks: impl Stream<Item = Result<Bytes, E>> + 'static,
    ) -> Self {
        Self {
            body: BoxBody::new(BodyStream::new(Box::pin(chunks))),
            media_type: PhantomData,
        }
    }
}

impl<M> sealed::Success for Content<M> {}

impl<M: MediaType> Success for Content<M> {
    fn respond(self) -> HttpResponse {
        HttpResponse::Ok().content_type(M::NAME).body(self.body)
    }

    fn describe(description: &mut Description) {
        let bytes = MediaTypeObject::builder().schema(Some(Object::with_type(Type::String)));
        description.response(200, ResponseBuilder::new().content(M::NAME, bytes.build()));
    }
}
