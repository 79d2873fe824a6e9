//! Access to what the layers of a request share.

use actix_web::{HttpMessage, HttpRequest, dev::ServiceRequest, web::Data};
use runtime::RequestContext;

use crate::Shared;

/// What every layer and every extractor can get from a request.
pub(crate) trait RequestExt {
    /// The state that the layers share.
    fn shared(&self) -> &Data<Shared>;

    /// The context of the request.
    fn context(&self) -> RequestContext;
}

macro_rules! request_ext {
    ($request:ty) => {
        impl RequestExt for $request {
            fn shared(&self) -> &Data<Shared> {
                self.app_data()
                    .expect("the server registers the shared state")
            }

            fn context(&self) -> RequestContext {
                let context = self.extensions().get::<RequestContext>().cloned();
                context.expect("the first layer inserts the context")
            }
        }
    };
}

request_ext!(ServiceRequest);
request_ext!(HttpRequest);
