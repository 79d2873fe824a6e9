//! The pages every service has: its problems, its contract, what runs.

use std::fmt::Write;

use actix_web::{HttpRequest, HttpResponse, get, http::header, web::Data};
use outcome::{ProblemType, common};
use serde::Serialize;
use utoipa::ToSchema;

use super::extract::Path;
use crate::Shared;

const STYLE: &str = "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:48rem;margin:3rem auto;padding:0 1rem;\
color:#1c2430}code{background:#eef1f5;padding:.1em .35em;border-radius:4px}table{border-collapse:collapse;width:100%}\
td,th{text-align:left;padding:.4em .8em .4em 0;border-bottom:1px solid #dde2ea}a{color:#0b5cad}dt{font-weight:600;\
margin-top:1em}dd{margin:0}</style>";

crate::refusal! {
    /// How a page of the catalogue can be refused.
    pub enum PageRefusal {
        /// 404: there is no such problem type.
        NotFound => common::ROUTE_NOT_FOUND, "there is no problem of this name";
    }
}

/// What runs.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Info {
    /// The service's name.
    pub service: String,
    /// Its version.
    pub version: String,
    /// Where it runs.
    pub environment: &'static str,
    /// The newest migration it knows.
    pub schema: i64,
}

/// The catalogue of problems.
#[utoipa::path(tag = "service", responses((status = 200, description = "HTML or JSON, by `Accept`")))]
#[get("/problems")]
pub async fn list_problems(request: HttpRequest, shared: Data<Shared>) -> HttpResponse {
    let rows: Vec<&ProblemType> = shared.catalogue.iter().collect();
    if !wants_html(&request) {
        return HttpResponse::Ok().json(rows);
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
    page(
        "Problems",
        &format!("<table><tr><th>code</th><th>status</th><th>title</th></tr>{table}</table>"),
    )
}

/// One problem: what it means and what to do.
#[utoipa::path(
    tag = "service",
    params(("code" = String, Path, description = "The problem's code")),
    responses((status = 200, description = "HTML or JSON, by `Accept`"), PageRefusal)
)]
#[get("/problems/{code}")]
pub async fn show_problem(
    request: HttpRequest,
    code: Path<String>,
    shared: Data<Shared>,
) -> Result<HttpResponse, PageRefusal> {
    let row = shared.catalogue.find(&code.0).ok_or(PageRefusal::NotFound)?;
    if !wants_html(&request) {
        return Ok(HttpResponse::Ok().json(row));
    }
    let retry = if row.retryable() {
        "Yes, after <code>Retry-After</code>."
    } else {
        "No."
    };
    Ok(page(
        row.title,
        &format!(
            "<p><code>{}</code>, status {}</p><dl><dt>What to do</dt><dd>{}</dd><dt>May it be sent again?</dt>\
             <dd>{retry}</dd><dt>To show to a user</dt><dd>{}</dd><dt>For the person on call</dt><dd>{}</dd></dl>\
             <p><a href=\"/problems\">All problems</a></p>",
            row.code,
            row.status.as_u16(),
            row.advice,
            row.user_message,
            row.runbook
        ),
    ))
}

fn wants_html(request: &HttpRequest) -> bool {
    let accept = request
        .headers()
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

fn page(title: &str, content: &str) -> HttpResponse {
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>{STYLE}</head>\
         <body><h1>{title}</h1>{content}</body></html>"
    ))
}

/// The contract.
#[utoipa::path(tag = "service", responses((status = 200, description = "OpenAPI 3.1")))]
#[get("/openapi.json")]
pub async fn openapi_json(shared: Data<Shared>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(shared.openapi.clone())
}

/// What runs.
#[utoipa::path(tag = "service", responses((status = 200, body = Info)))]
#[get("/info")]
pub async fn info(shared: Data<Shared>) -> HttpResponse {
    HttpResponse::Ok().json(&shared.info)
}
