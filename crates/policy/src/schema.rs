//! Schema: the keys of a policy file for editors, as JSON Schema. It is a help and no judge: the loader knows more.

use crate::policy::Policy;

/// What `clawrden policy schema` prints.
const TEXT: &str = include_str!("schema.json");

impl Policy {
    /// The JSON Schema of a policy file.
    #[must_use]
    pub fn schema() -> &'static str {
        TEXT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::known_keys;
    use serde_json::Value;

    fn part<'v>(schema: &'v Value, name: &str) -> &'v Value {
        if name.is_empty() { schema } else { &schema["$defs"][name] }
    }

    #[test]
    fn the_schema_has_the_keys_of_the_loader_and_no_others() {
        let schema: Value = serde_json::from_str(TEXT).unwrap();
        for (name, known) in known_keys() {
            let part = part(&schema, name);
            let mut listed: Vec<&str> =
                part["properties"].as_object().unwrap().keys().map(String::as_str).collect();
            let mut known = known.to_vec();
            listed.sort_unstable();
            known.sort_unstable();
            assert_eq!(listed, known, "the keys of {name:?}");
            assert_eq!(part["additionalProperties"], false, "{name:?}");
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
            match value {
                Value::Object(fields) => {
                    found.extend(fields.get("$ref").and_then(Value::as_str));
                    fields.values().for_each(|value| references(value, found));
                }
                Value::Array(items) => items.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let schema: Value = serde_json::from_str(TEXT).unwrap();
        let mut found = Vec::new();
        references(&schema, &mut found);
        assert!(found.len() > 10);
        for reference in found {
            let place = reference.strip_prefix('#').unwrap();
            assert!(schema.pointer(place).is_some(), "{reference}");
        }
    }

    #[test]
    fn what_the_schema_offers_the_loader_takes() {
        let schema: Value = serde_json::from_str(TEXT).unwrap();
        for (key, name) in [("default_action", "action"), ("default_executor", "executor")] {
            for word in schema["$defs"][name]["enum"].as_array().unwrap() {
                let text = format!("{key}: {}\n", word.as_str().unwrap());
                assert!(crate::Policy::from_yaml("p.yaml", &text).is_ok(), "{text}");
            }
        }
    }
}
