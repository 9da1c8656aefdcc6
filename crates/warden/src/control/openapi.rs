//! The OpenAPI description, made from the table of routes and the types that travel.

use std::collections::{BTreeMap, BTreeSet};

use clawrden_api::{
    EXPORT_END, EXPORT_HEADER, ErrorCode, ExportEnd, ExportFacts, MAX_BRIDGE, Problem, Role,
    Trouble,
};
use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::export::{CSV, LINES};
use super::recordings::CAST;
use super::table::{Gives, Least, Method, ROUTES, Route, Shape, Takes};

/// What every route that wants to know who asks can say.
const COMMON: [ErrorCode; 6] = [
    ErrorCode::Unauthorized,
    ErrorCode::Forbidden,
    ErrorCode::UnknownUser,
    ErrorCode::Misdirected,
    ErrorCode::TooMany,
    ErrorCode::Internal,
];

/// What every route that reads a body can say.
const WITH_BODY: [ErrorCode; 3] = [ErrorCode::BadRequest, ErrorCode::TooSlow, ErrorCode::TooLarge];

/// A request's id, or its first digits.
const ID: &str = "^[0-9a-f]{4,32}$";

/// What a jail can be called.
const JAIL: &str = "^[a-z0-9][a-z0-9_.-]{0,62}$";

/// The whole description.
#[must_use]
pub fn description() -> Value {
    let mut paths = Map::new();
    let mut schemas = Schemas::default();
    schemas.add(Problem::name().into_owned(), Problem::schema(), Problem::schemas);
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_ascii_lowercase()] = operation(route, &mut schemas);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Clawrden's control API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Times are milliseconds since the Unix epoch, durations are milliseconds. Text that a \
                            prisoner chose is given as it is: whoever shows it makes it harmless first.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas.0,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "A token of `clawrden token create`."},
                "session": {
                    "type": "apiKey", "in": "cookie", "name": "clawrden_session",
                    "description": "A session of the web page. Each of its requests carries `X-CSRF-Token` as well; the cookie alone opens \
                                    nothing. Under TLS its name is `__Host-clawrden_session`.",
                },
            },
        },
    })
}

#[derive(Default)]
struct Schemas(BTreeMap<String, RefOr<Schema>>);

impl Schemas {
    fn add(
        &mut self,
        name: String,
        schema: RefOr<Schema>,
        parts: fn(&mut Vec<(String, RefOr<Schema>)>),
    ) {
        self.0.insert(name, schema);
        let mut found = Vec::new();
        parts(&mut found);
        self.0.extend(found);
    }

    /// Keeps the type, and gives what refers to it.
    fn refer(&mut self, shape: &Shape) -> Value {
        let name = (shape.name)().into_owned();
        let reference = json!({"$ref": format!("#/components/schemas/{name}")});
        self.add(name, (shape.schema)(), shape.parts);
        reference
    }
}

fn operation(route: &Route, schemas: &mut Schemas) -> Value {
    let mut operation = json!({
        "operationId": operation_id(route),
        "summary": route.summary,
        "parameters": parameters(route),
        "responses": responses(route, schemas),
        "security": [{"token": []}, {"session": []}],
    });
    match route.least {
        Least::Anyone | Least::Login => operation["security"] = json!([]),
        Least::Role(role) => operation["x-least-role"] = json!(role),
    }
    if let Takes::Body(shape) = &route.takes {
        let schema = serde_json::to_value((shape.schema)()).unwrap_or_default();
        operation["requestBody"] = json!({
            "content": {"application/json": {"schema": schemas.refer(shape)}},
            "required": schema["required"].as_array().is_some_and(|names| !names.is_empty()),
        });
    }
    operation
}

/// Such as `post_queue_id_approve`.
fn operation_id(route: &Route) -> String {
    let words =
        route.path.split(['/', '{', '}', '.', '-']).filter(|w| !w.is_empty() && *w != "api");
    let words: Vec<&str> = words.collect();
    format!("{}_{}", route.method.as_str().to_ascii_lowercase(), words.join("_"))
}

fn parameters(route: &Route) -> Vec<Value> {
    let mut all = Vec::new();
    for name in route.path.split('/').filter_map(|p| p.strip_prefix('{')?.strip_suffix('}')) {
        let schema = match name {
            "name" if route.path.starts_with("/api/channels/") => {
                json!({"type": "string", "pattern": clawrden_bridge::channel::NAME})
            }
            "name" => json!({"type": "string", "pattern": JAIL}),
            _ if route.path.starts_with("/api/tokens/") => json!({"type": "string"}),
            _ => json!({"type": "string", "pattern": ID}),
        };
        all.push(json!({"name": name, "in": "path", "required": true, "schema": schema}));
    }
    if route.is_answer() {
        let text = "The same key with the same request is carried out once; what came of it is told again for ten minutes.";
        all.push(json!({
            "name": "Idempotency-Key", "in": "header", "description": text,
            "schema": {"type": "string", "minLength": 1, "maxLength": 128},
        }));
    }
    if let (Least::Role(Role::Viewer | Role::Approver), true) =
        (route.least, route.method != Method::Get)
    {
        let text = "For which user a bridge asks, such as `slack:T012ABC/U345DEF`. By a token that speaks for a chat it has to be \
                    there, by any other it may not.";
        all.push(json!({
            "name": "Clawrden-On-Behalf", "in": "header", "description": text,
            "schema": {"type": "string", "maxLength": 138},
        }));
    }
    let Takes::Query(shape) = &route.takes else { return all };
    let Ok(schema) = serde_json::to_value((shape.schema)()) else { return all };
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        let mut schema = schema.clone();
        let text = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        // What is absent from a query is left away; there is no null in it.
        if let Some(kinds) = schema["type"].as_array() {
            let kind = kinds.iter().find(|kind| *kind != "null").cloned();
            schema["type"] = kind.unwrap_or_else(|| json!("string"));
        }
        match (schema["type"].as_str(), name.as_str()) {
            // As large as a number of 64 bits without a sign is.
            (Some("integer"), _) => {
                schema.as_object_mut().and_then(|schema| schema.remove("format"));
            }
            (_, "jail") => schema["pattern"] = json!(JAIL),
            (_, "id") => schema["pattern"] = json!("^[0-9A-Fa-f]{4,32}$"),
            (_, "command") => schema["minLength"] = json!(1),
            (_, "bridge") => {
                schema["pattern"] = json!(format!("^[A-Za-z0-9]{{0,{MAX_BRIDGE}}}$"));
            }
            (_, "reason") => schema["enum"] = json!(Trouble::ALL.map(Trouble::as_str)),
            _ => {}
        }
        all.push(json!({"name": name, "in": "query", "description": text, "schema": schema}));
    }
    all
}

fn responses(route: &Route, schemas: &mut Schemas) -> Value {
    let mut all = Map::new();
    let content = match &route.gives {
        Gives::Json(shape) => json!({"application/json": {"schema": schemas.refer(shape)}}),
        Gives::Document => json!({"application/json": {"schema": {"type": "object"}}}),
        Gives::Events => json!({"text/event-stream": {"schema": {"type": "string"}}}),
        Gives::Text => json!({"text/plain": {"schema": {"type": "string"}}}),
        Gives::Cast => json!({CAST: {"schema": {"type": "string"}}}),
        Gives::Export => {
            let text = json!({"schema": {"type": "string"}});
            json!({LINES: text, CSV: text})
        }
    };
    all.insert("200".to_owned(), json!({"description": "Done.", "content": content}));
    if matches!(route.gives, Gives::Export) {
        let (facts, end) = (ExportFacts::name(), ExportEnd::name());
        schemas.add(facts.clone().into_owned(), ExportFacts::schema(), ExportFacts::schemas);
        schemas.add(end.clone().into_owned(), ExportEnd::schema(), ExportEnd::schemas);
        let text = |what, name| {
            format!("{what}: an object of the schema `{name}`, as JSON of ASCII alone")
        };
        all["200"]["headers"] = json!({
            EXPORT_HEADER: {
                "description": text("What is known before the first byte", facts),
                "schema": {"type": "string"},
            },
            "Trailer": {
                "description": text(
                    "Names the trailer that comes behind the body where `TE: trailers` was sent, with what came of it",
                    end,
                ),
                "schema": {"type": "string", "const": EXPORT_END},
            },
        });
    }
    if route.method == Method::Get && matches!(route.gives, Gives::Json(_)) {
        let text = "Nothing has changed since the answer with this ETag.";
        all.insert("304".to_owned(), json!({"description": text}));
    }
    let mut codes: BTreeMap<u16, BTreeSet<&str>> = BTreeMap::new();
    let common = if route.least == Least::Anyone { &[][..] } else { &COMMON[..] };
    let body = if matches!(route.takes, Takes::Body(_)) { &WITH_BODY[..] } else { &[][..] };
    for code in route.errors.iter().chain(common).chain(body) {
        codes.entry(code.status()).or_default().insert(code.as_str());
    }
    for (status, codes) in codes {
        let codes: Vec<&str> = codes.into_iter().collect();
        let problem = json!({"$ref": "#/components/schemas/Problem"});
        all.insert(
            status.to_string(),
            json!({
                "description": format!("`{}`", codes.join("`, `")),
                "content": {"application/problem+json": {"schema": problem}},
            }),
        );
    }
    Value::Object(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_of_the_table_is_described_and_nothing_else() {
        let description = description();
        let mut described = BTreeSet::new();
        for (path, item) in description["paths"].as_object().unwrap() {
            for method in item.as_object().unwrap().keys() {
                described.insert((path.clone(), method.to_ascii_uppercase()));
            }
        }
        let there: BTreeSet<_> = ROUTES
            .iter()
            .map(|route| (route.path.to_owned(), route.method.as_str().to_owned()))
            .collect();
        assert_eq!(described, there);
    }

    #[test]
    fn what_a_path_names_has_the_form_that_such_a_name_has() {
        let description = description();
        let pattern = |path: &str, method: &str| {
            let named = &description["paths"][path][method]["parameters"][0];
            assert_eq!(named["in"], "path", "{path}");
            named["schema"]["pattern"].as_str().unwrap_or_default().to_owned()
        };
        assert_eq!(pattern("/api/jails/{name}", "get"), JAIL);
        assert_eq!(pattern("/api/channels/{name}/test", "post"), "^[A-Za-z0-9_-]{1,32}$");
        assert_eq!(pattern("/api/queue/{id}/approve", "post"), ID);
    }

    #[test]
    fn every_reference_leads_to_a_schema_and_every_operation_has_a_name_of_its_own() {
        let description = description();
        let text = description.to_string();
        let schemas = description["components"]["schemas"].as_object().unwrap();
        let mut references = 0;
        for rest in text.split("\"#/components/schemas/").skip(1) {
            let name = rest.split('"').next().unwrap();
            assert!(schemas.contains_key(name), "{name} is nowhere");
            references += 1;
        }
        assert!(references > 50, "{references}");
        let ids: BTreeSet<_> = ROUTES.iter().map(operation_id).collect();
        assert_eq!(ids.len(), ROUTES.len());
        assert!(ids.contains("post_queue_id_approve"), "{ids:?}");
    }
}
