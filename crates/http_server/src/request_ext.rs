//! The one way to what the layers of a request share.

use actix_web::{HttpMessage, HttpRequest, dev::ServiceRequest, web::Data};
use runtime::RequestContext;

use crate::Shared;

/// What every layer and every extractor may ask a request for.
pub(crate) trait RequestExt {
    /// What the layers share.
    fn shared(&self) -> &Data<Shared>;

    /// The context of this request.
    fn context(&self) -> RequestContext;
}

macro_rules! request_ext {
    ($request:ty) => {
        impl RequestExt for $request {
            fn shared(&self) -> &Data<Shared> {
                self.app_data().expect("set by the server")
            }

            fn context(&self) -> RequestContext {
                let context = self.extensions().get::<RequestContext>().cloned();
                context.expect("set by the first layer")
            }
        }
    };
}

request_ext!(ServiceRequest);
request_ext!(HttpRequest);
