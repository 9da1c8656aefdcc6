//! The JSON Schema of the ledger's lines, and that it and `docs/ledger.md` say what the code writes.

/// The schema, as `clawrden audit schema` prints it.
pub const SCHEMA_JSON: &str = include_str!("../../../../docs/ledger.schema.json");

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::*;
    use crate::ledger::{Ledger, Options, Record};

    const DOCS: &str = include_str!("../../../../docs/ledger.md");

    /// The names of all events, as the code itself lists them.
    fn events() -> BTreeSet<String> {
        let error = serde_json::from_str::<Record>(r#"{"event":"?"}"#).unwrap_err().to_string();
        let listed = error.split("expected one of ").nth(1).unwrap();
        listed.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    /// Something that a part of the schema allows: everything, or only what must be there.
    fn sample(schema: &Value, all: bool) -> Value {
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        if let Some(values) = schema.get("enum") {
            return values.as_array().unwrap().last().unwrap().clone();
        }
        match schema["type"].as_str().unwrap() {
            "integer" => json!(7),
            "boolean" => json!(true),
            "string" => {
                let length = schema["minLength"].as_u64().unwrap_or(3);
                json!("a".repeat(usize::try_from(length).unwrap()))
            }
            "array" => json!([sample(&schema["items"], all)]),
            "object" => {
                let required = schema["required"].as_array().cloned().unwrap_or_default();
                let fields = schema["properties"].as_object().cloned().unwrap_or_default();
                let kept = fields.iter().filter(|(name, _)| all || required.contains(&json!(name)));
                let mut object: serde_json::Map<String, Value> =
                    kept.map(|(name, part)| (name.clone(), sample(part, all))).collect();
                if let Some(part) = schema.get("additionalProperties").filter(|p| p.is_object()) {
                    object.insert("any".to_owned(), sample(part, all));
                }
                Value::Object(object)
            }
            other => panic!("{other}"),
        }
    }

    /// What a value has that the schema does not allow: the part of JSON Schema that ours uses.
    fn fault(schema: &Value, value: &Value) -> Option<String> {
        let wrong = || Some(format!("{value} is not {schema}"));
        if schema.get("const").is_some_and(|only| only != value) {
            return wrong();
        }
        if schema.get("enum").is_some_and(|all| !all.as_array().unwrap().contains(value)) {
            return wrong();
        }
        let is_type = match schema.get("type").map(|name| name.as_str().unwrap()) {
            None => true,
            Some("integer") => value.is_i64() || value.is_u64(),
            Some("boolean") => value.is_boolean(),
            Some("string") => value.is_string(),
            Some("array") => value.is_array(),
            Some("object") => value.is_object(),
            Some(other) => panic!("{other}"),
        };
        let length = value.as_str().map(|text| text.chars().count() as u64);
        let fits = |key: &str, holds: fn(u64, u64) -> bool| {
            schema.get(key).is_none_or(|bound| holds(length.unwrap(), bound.as_u64().unwrap()))
        };
        if !is_type || !fits("minLength", |a, b| a >= b) || !fits("maxLength", |a, b| a <= b) {
            return wrong();
        }
        if schema.get("minimum").is_some_and(|least| value.as_i64() < least.as_i64()) {
            return wrong();
        }
        if let Some(items) = value.as_array() {
            return items.iter().find_map(|item| fault(&schema["items"], item));
        }
        let fields = value.as_object()?;
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        if let Some(missing) =
            required.iter().find(|name| !fields.contains_key(name.as_str().unwrap()))
        {
            return Some(format!("{missing} is missing in {value}"));
        }
        fields.iter().find_map(|(name, field)| {
            match (schema["properties"].get(name), schema.get("additionalProperties")) {
                (Some(part), _) => fault(part, field),
                (None, Some(part)) if part.is_object() => fault(part, field),
                (None, _) => Some(format!("{name} is not known in {value}")),
            }
        })
    }

    fn definitions() -> serde_json::Map<String, Value> {
        let schema: Value = serde_json::from_str(SCHEMA_JSON).unwrap();
        let listed: BTreeSet<String> = schema["oneOf"]
            .as_array()
            .unwrap()
            .iter()
            .map(|part| part["$ref"].as_str().unwrap().replace("#/$defs/", ""))
            .collect();
        let definitions = schema["$defs"].as_object().unwrap().clone();
        assert_eq!(listed, definitions.keys().cloned().collect());
        definitions
    }

    #[test]
    fn every_event_and_field_is_in_the_schema_and_in_the_documentation() {
        let definitions = definitions();
        assert_eq!(definitions.keys().cloned().collect::<BTreeSet<_>>(), events());
        for (event, schema) in &definitions {
            let heading = format!("\n### `{event}`\n");
            let part = DOCS.split(&heading).nth(1).unwrap_or_else(|| panic!("{event} is not told"));
            let part = part.split("\n### ").next().unwrap();
            for field in schema["properties"].as_object().unwrap().keys() {
                let row = format!("| `{field}`");
                let common = DOCS.split("\n### ").next().unwrap();
                let told = part.contains(&row) || common.contains(&format!("`{field}`"));
                assert!(told, "{event}: {field} is not told");
            }
        }
    }

    #[test]
    fn what_the_schema_allows_is_read_and_written_again_as_it_was() {
        for (event, schema) in definitions() {
            for all in [true, false] {
                let value = sample(&schema, all);
                let record: Record = serde_json::from_value(value.clone())
                    .unwrap_or_else(|e| panic!("{event}: {e}"));
                // No field of it is lost: the code knows every one.
                let mut again = serde_json::to_value(&record).unwrap();
                for common in ["seq", "time", "time_ms", "dry_run", "prev", "sum"] {
                    if let Some(field) = value.get(common) {
                        again[common] = field.clone();
                    }
                }
                // What is false or nothing is left out.
                for (name, field) in value.as_object().unwrap() {
                    assert_eq!(again.get(name), Some(field), "{event}: {name}");
                }
            }
        }
    }

    #[test]
    fn every_record_that_can_be_written_is_as_the_schema_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        let options = Options { dry_run: true, segment_bytes: 4000, ..Options::default() };
        let ledger = Ledger::open(&path, &options).unwrap().0;
        let definitions = definitions();
        for all in [true, false] {
            for schema in definitions.values() {
                let record = serde_json::from_value(sample(schema, all)).unwrap();
                ledger.append(&[record]).unwrap();
            }
        }
        drop(ledger);
        let mut seen = BTreeSet::new();
        let (closed, _) = crate::ledger::files_of(&path).unwrap();
        for file in closed.into_iter().chain([path]) {
            for line in std::fs::read_to_string(file).unwrap().lines() {
                let value: Value = serde_json::from_str(line).unwrap();
                let event = value["event"].as_str().unwrap();
                assert_eq!(fault(&definitions[event], &value), None, "{line}");
                seen.insert(event.to_owned());
            }
        }
        assert_eq!(seen, events());
    }

    #[test]
    fn the_schema_refuses_what_is_not_written() {
        let schema = &definitions()["finished"];
        let good = sample(schema, true);
        assert_eq!(fault(schema, &good), None);
        for (field, wrong) in [
            ("exit_code", json!("0")),
            ("id", json!("x")),
            ("event", json!("started")),
            ("odd", json!(1)),
        ] {
            let mut bad = good.clone();
            bad[field] = wrong;
            assert!(fault(schema, &bad).is_some(), "{field}");
        }
        let mut bad = good;
        bad.as_object_mut().unwrap().remove("exit_source");
        assert!(fault(schema, &bad).is_some());
    }
}
