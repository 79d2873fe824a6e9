//! The pages that every service has: its problem types, its `OpenAPI` document and its version.

use std::{convert::Infallible, fmt::Write, str::FromStr};

use actix_web::{HttpResponse, http::header::VARY};
use macros::{Refusal, operation};
use outcome::{ProblemType, common};
use serde::Serialize;
use utoipa::{
    ToSchema,
    openapi::{Content, RefOr, ResponseBuilder, Schema},
};

use crate::{
    Json,
    extract::{Path, PathParameter, Shared, WantsHtml},
    operations::{Description, Success, sealed},
};

const STYLE: &str = "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:48rem;margin:3rem auto;padding:0 1rem;\
color:#1c2430}code{background:#eef1f5;padding:.1em .35em;border-radius:4px}table{border-collapse:collapse;width:100%}\
td,th{text-align:left;padding:.4em .8em .4em 0;border-bottom:1px solid #dde2ea}a{color:#0b5cad}dt{font-weight:600;\
margin-top:1em}dd{margin:0}</style>";

/// The ways a page of the problem catalogue can be refused.
#[derive(Debug, Refusal)]
pub(crate) enum PageRefusal {
    /// 404: no problem type has this code.
    #[problem(common::ROUTE_NOT_FOUND, "no problem type has this code")]
    NotFound,
}

/// The running service.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Info {
    /// The name of the service.
    #[schema(example = "billing")]
    pub service: String,
    /// The version of the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The environment: `development`, `staging` or `production`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<&'static str>,
    /// The version of the newest database migration that the service needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<i64>,
}

/// An HTML page for people, or the same content as JSON for programs.
pub(crate) struct HtmlOrJson(HttpResponse);

impl HtmlOrJson {
    fn json(value: &impl Serialize) -> Self {
        Self(HttpResponse::Ok().insert_header((VARY, "accept")).json(value))
    }

    fn html(title: &str, content: &str) -> Self {
        let html = format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>{STYLE}</head>\
             <body><h1>{title}</h1>{content}</body></html>"
        );
        Self(
            HttpResponse::Ok()
                .content_type("text/html; charset=utf-8")
                .insert_header((VARY, "accept"))
                .body(html),
        )
    }
}

impl sealed::Success for HtmlOrJson {}

impl Success for HtmlOrJson {
    fn respond(self) -> HttpResponse {
        self.0
    }

    fn describe(description: &mut Description) {
        description.response(
            200,
            ResponseBuilder::new()
                .description("HTML or JSON, depending on `Accept`")
                .content("application/json", Content::default())
                .content("text/html", Content::default()),
        );
    }
}

/// The `OpenAPI` document, as JSON.
pub(crate) struct OpenApiJson(String);

impl sealed::Success for OpenApiJson {}

impl Success for OpenApiJson {
    fn respond(self) -> HttpResponse {
        HttpResponse::Ok().content_type("application/json").body(self.0)
    }

    fn describe(description: &mut Description) {
        let response = ResponseBuilder::new().description("OpenAPI 3.1");
        description.response(200, response.content("application/json", Content::default()));
    }
}

/// A problem code from the path, which the catalogue may not contain.
pub(crate) struct ProblemCode(String);

impl FromStr for ProblemCode {
    type Err = Infallible;

    fn from_str(code: &str) -> Result<Self, Infallible> {
        Ok(Self(code.to_owned()))
    }
}

impl PathParameter for ProblemCode {
    const DESCRIPTION: Option<&'static str> = Some("The code of the problem type");

    fn schema() -> RefOr<Schema> {
        <String as PathParameter>::schema()
    }
}

/// Lists all problem types.
#[operation(GET "/problems", public, links(show_problem.code = "/0/code"))]
pub(crate) async fn list_problems(html: WantsHtml, shared: Shared) -> Result<HtmlOrJson, Infallible> {
    let rows: Vec<&ProblemType> = shared.catalogue.iter().collect();
    if !html.0 {
        return Ok(HtmlOrJson::json(&rows));
    }
    let mut table = String::new();
    for row in rows {
        // Writing to a String cannot fail.
        let _ = write!(
            table,
            "<tr><td><a href=\"{}\"><code>{}</code></a></td><td>{}</td><td>{}</td></tr>",
            row.uri(),
            row.code,
            row.status.as_u16(),
            row.title
        );
    }
    Ok(HtmlOrJson::html(
        "Problems",
        &format!("<table><tr><th>code</th><th>status</th><th>title</th></tr>{table}</table>"),
    ))
}

/// Explains one problem type: what it means and what to do about it.
#[operation(GET "/problems/{code}", public)]
pub(crate) async fn show_problem(
    html: WantsHtml,
    code: Path<ProblemCode>,
    shared: Shared,
) -> Result<HtmlOrJson, PageRefusal> {
    let row = shared.catalogue.find(&code.0.0).ok_or(PageRefusal::NotFound)?;
    if !html.0 {
        return Ok(HtmlOrJson::json(row));
    }
    let retry = if row.retryable() {
        "Yes, after <code>Retry-After</code>."
    } else {
        "No."
    };
    Ok(HtmlOrJson::html(
        row.title,
        &format!(
            "<p><code>{}</code>, status {}</p><dl><dt>What to do</dt><dd>{}</dd><dt>Can it be retried?</dt>\
             <dd>{retry}</dd><dt>Message for users</dt><dd>{}</dd></dl>\
             <p><a href=\"/problems\">All problems</a></p>",
            row.code,
            row.status.as_u16(),
            as_html(row.advice),
            as_html(row.user_message)
        ),
    ))
}

/// Text for a page: special characters are escaped, and words in backquotes are code.
fn as_html(text: &str) -> String {
    let escaped = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let parts = escaped.split('`').enumerate();
    let parts = parts.map(|(index, part)| match index % 2 {
        0 => part.to_owned(),
        _ => format!("<code>{part}</code>"),
    });
    parts.collect()
}

/// Returns the `OpenAPI` document.
#[operation(GET "/openapi.json", public)]
pub(crate) async fn openapi_json(shared: Shared) -> Result<OpenApiJson, Infallible> {
    Ok(OpenApiJson(shared.openapi.clone()))
}

/// Returns the name, version, environment and database schema of the running service.
#[operation(GET "/info", public)]
pub(crate) async fn info(shared: Shared) -> Result<Json<Info>, Infallible> {
    let mut info = shared.info.clone();
    if !shared.settings.info_details {
        (info.version, info.environment, info.schema) = (None, None, None);
    }
    Ok(Json(info))
}
