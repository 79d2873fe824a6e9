//! The operations of a contract, each with what is needed to send its example.

use std::collections::BTreeMap;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use uuid::Uuid;

/// The operations of an `OpenAPI` document. Each can be sent as its example: the parameters and the body come from the
/// document, ids from the responses of the operations that link to it.
#[derive(Clone, Debug)]
pub struct Contract {
    operations: Vec<Operation>,
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Operation {
    /// The id in the document.
    pub id: String,
    /// Method and path, such as `GET /v1/invoices/{id}`.
    pub name: String,
    /// The HTTP method.
    pub method: Method,
    /// The path, with parameters in braces.
    pub template: String,
    /// Whether the operation needs a token.
    pub needs_token: bool,
    /// Whether every service has it, such as `GET /info`.
    pub of_platform: bool,
    /// The statuses of the successes that the operation declares.
    pub successes: Vec<u16>,
    /// The problem codes that the operation declares, by status.
    pub problems: BTreeMap<u16, Vec<String>>,
    /// The example of the body, if the operation takes one.
    pub body: Option<Value>,
    parameters: Vec<Parameter>,
    links: Vec<Link>,
}

#[derive(Clone, Debug)]
struct Parameter {
    name: String,
    place: Place,
    example: Option<String>,
    /// The operations whose responses contain the value.
    sources: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Path,
    Query,
    Header,
}

#[derive(Clone, Debug)]
struct Link {
    operation: String,
    parameter: String,
    pointer: String,
}

/// Values from responses, by the operation and the parameter that they are for.
#[derive(Clone, Debug, Default)]
pub struct Known(BTreeMap<(String, String), String>);

impl Contract {
    /// Reads the operations of a document.
    ///
    /// # Errors
    /// Everything that keeps an example from being sent, one per line: a body or a required parameter without an example,
    /// a link to what does not exist, an operation without a success.
    pub fn parse(document: &Value) -> Result<Self, String> {
        let (mut operations, mut errors) = (Vec::new(), Vec::new());
        for (template, item) in document["paths"].as_object().into_iter().flatten() {
            for (method, definition) in item.as_object().into_iter().flatten() {
                operations.push(operation(document, template, method, definition, &mut errors));
            }
        }
        let links: Vec<(String, Link)> = operations
            .iter()
            .flat_map(|source| source.links.iter().map(|link| (source.id.clone(), link.clone())))
            .collect();
        for (source, link) in links {
            let target = operations.iter_mut().find(|target| target.id == link.operation);
            let parameters = target.into_iter().flat_map(|target| &mut target.parameters);
            match parameters.into_iter().find(|known| known.name == link.parameter) {
                Some(parameter) => parameter.sources.push(source),
                None => errors.push(format!(
                    "{source} links to {}.{}, which does not exist",
                    link.operation, link.parameter
                )),
            }
        }
        // A service whose operations return no job has no id for `GET /v1/jobs/{id}`.
        for operation in operations.iter().filter(|operation| !operation.of_platform) {
            let missing = operation.parameters.iter();
            let missing = missing.filter(|known| known.sources.is_empty() && known.example.is_none());
            errors.extend(missing.map(|Parameter { name, place, .. }| {
                let example = match place {
                    Place::Path => format!("`example({name} = …)` in its `#[operation]`"),
                    Place::Query | Place::Header => "`#[param(example = …)]`".to_owned(),
                };
                format!(
                    "{}: the parameter `{name}` needs {example}, or `links({}.{name} = …)` in the `#[operation]` that \
                     returns it",
                    operation.name, operation.id
                )
            }));
        }
        if errors.is_empty() {
            Ok(Self { operations })
        } else {
            Err(errors.join("\n"))
        }
    }

    /// Every operation.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// The operation with this id.
    pub fn find(&self, id: &str) -> Option<&Operation> {
        self.operations.iter().find(|operation| operation.id == id)
    }

    /// The operations to call in this order so that the last one is `operation` and each finds its ids in the responses
    /// before it.
    pub fn path_to<'c>(&'c self, operation: &'c Operation) -> Vec<&'c Operation> {
        let mut path = Vec::new();
        self.visit(operation, &mut Vec::new(), &mut path);
        path
    }

    fn visit<'c>(
        &'c self,
        operation: &'c Operation,
        begun: &mut Vec<&'c str>,
        path: &mut Vec<&'c Operation>,
    ) {
        // An operation that needs itself, by way of others, is not reached twice.
        if begun.contains(&operation.id.as_str()) {
            return;
        }
        begun.push(&operation.id);
        let first_sources = operation.needed().filter_map(|sources| sources.first());
        for source in first_sources.filter_map(|id| self.find(id)) {
            self.visit(source, begun, path);
        }
        path.push(operation);
    }
}

impl Operation {
    /// The example as a request to the service at `base`, or `None` if an id is not known yet. A value from a response
    /// comes before an example in the document. Each call has a new idempotency key.
    pub fn request(&self, client: &Client, base: &str, known: &Known) -> Option<RequestBuilder> {
        let (mut path, mut query, mut headers) = (self.template.clone(), Vec::new(), Vec::new());
        for parameter in &self.parameters {
            let Parameter { name, place, .. } = parameter;
            let known = known.0.get(&(self.id.clone(), name.clone()));
            let value = known.or(parameter.example.as_ref())?.clone();
            match place {
                Place::Path => path = path.replace(&format!("{{{name}}}"), &value),
                Place::Query => query.push((name, value)),
                Place::Header if name.eq_ignore_ascii_case("idempotency-key") => {
                    headers.push((name, Uuid::new_v4().to_string()));
                }
                Place::Header => headers.push((name, value)),
            }
        }
        let mut request = client.request(self.method.clone(), format!("{base}{path}"));
        if !query.is_empty() {
            request = request.query(&query);
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        Some(match &self.body {
            Some(body) => request.json(body),
            None => request,
        })
    }

    /// A request without body and token, but with an idempotency key, whose path is complete and names nothing that exists.
    pub fn with_placeholders(&self, client: &Client, base: &str) -> RequestBuilder {
        let path = self.template.replace(['{', '}'], "");
        let request = client.request(self.method.clone(), format!("{base}{path}"));
        request.header("idempotency-key", Uuid::new_v4().to_string())
    }

    /// Keeps the ids that the body of this operation's success contains for other operations.
    pub fn learn(&self, body: &Value, known: &mut Known) {
        for link in &self.links {
            let value = match body.pointer(&link.pointer) {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Number(number)) => number.to_string(),
                _ => continue,
            };
            known
                .0
                .insert((link.operation.clone(), link.parameter.clone()), value);
        }
    }

    /// For each parameter that comes from another operation: the ids of the operations that return it.
    pub(super) fn needed(&self) -> impl Iterator<Item = &[String]> {
        let needed = self.parameters.iter().filter(|known| known.example.is_none());
        needed.map(|parameter| parameter.sources.as_slice())
    }
}

fn operation(
    document: &Value,
    template: &str,
    method: &str,
    definition: &Value,
    errors: &mut Vec<String>,
) -> Operation {
    let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap_or_default();
    let name = format!("{method} {template}");
    let mut successes = Vec::new();
    let (mut problems, mut links) = (BTreeMap::new(), Vec::new());
    for (status, response) in definition["responses"].as_object().into_iter().flatten() {
        let (status, response) = (status.parse().unwrap_or_default(), resolved(document, response));
        match status {
            200..300 => {
                successes.push(status);
                let json = &response["content"]["application/json"];
                if json["schema"].is_object() && json["example"].is_null() {
                    errors.push(format!(
                        "{name}: the response {status} has no example; give each of its required fields one"
                    ));
                }
                links.extend(links_of(response));
            }
            400.. => _ = problems.insert(status, codes(response)),
            _ => {}
        }
    }
    if successes.is_empty() {
        errors.push(format!("{name}: no response is a success"));
    }
    let body = definition["requestBody"]["content"]["application/json"].as_object();
    let body = body.map(|content| content.get("example").cloned().unwrap_or_default());
    if body.as_ref().is_some_and(Value::is_null) {
        errors.push(format!(
            "{name}: the request body has no example; give each of its required fields one"
        ));
    }
    let parameters = definition["parameters"].as_array().into_iter().flatten();
    Operation {
        id: definition["operationId"].as_str().unwrap_or_default().to_owned(),
        name,
        method,
        template: template.to_owned(),
        needs_token: definition["security"].is_array(),
        of_platform: definition["x-platform"] == true,
        successes,
        problems,
        body,
        parameters: parameters.filter_map(parameter).collect(),
        links,
    }
}

/// A required parameter; `None` for one that the example leaves out.
fn parameter(definition: &Value) -> Option<Parameter> {
    let place = match definition["in"].as_str()? {
        "path" => Place::Path,
        "query" => Place::Query,
        _ => Place::Header,
    };
    let name = definition["name"].as_str()?.to_owned();
    let examples = [&definition["example"], &definition["schema"]["example"]];
    let example = match examples
        .into_iter()
        .find(|example| !example.is_null())
        .unwrap_or(&Value::Null)
    {
        Value::String(text) => Some(text.clone()),
        Value::Null if name.eq_ignore_ascii_case("idempotency-key") => Some(String::new()),
        Value::Null => None,
        other => Some(other.to_string()),
    };
    let required = definition["required"] == true;
    (required || example.is_some()).then(|| Parameter {
        name,
        place,
        example,
        sources: Vec::new(),
    })
}

fn links_of(response: &Value) -> Vec<Link> {
    let mut links = Vec::new();
    for link in response["links"]
        .as_object()
        .into_iter()
        .flat_map(|links| links.values())
    {
        for (parameter, place) in link["parameters"].as_object().into_iter().flatten() {
            let pointer = place
                .as_str()
                .and_then(|place| place.strip_prefix("$response.body#"));
            links.extend(pointer.map(|pointer| Link {
                operation: link["operationId"].as_str().unwrap_or_default().to_owned(),
                parameter: parameter.clone(),
                pointer: pointer.to_owned(),
            }));
        }
    }
    links
}

/// The problem codes that a response declares.
pub(super) fn codes(response: &Value) -> Vec<String> {
    let examples = response["content"]["application/problem+json"]["examples"].as_object();
    examples
        .map(|examples| examples.keys().cloned().collect())
        .unwrap_or_default()
}

/// A response, also if it is a reference to one of the document's components.
pub(super) fn resolved<'d>(document: &'d Value, response: &'d Value) -> &'d Value {
    let place = response["$ref"]
        .as_str()
        .and_then(|place| place.strip_prefix('#'));
    place
        .and_then(|place| document.pointer(place))
        .unwrap_or(response)
}
