//! `clawrden metrics`: what the warden counts, as it gives it to Prometheus.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use crate::connection::ask;
use crate::failure::{Failure, Outcome, done};
use crate::output::print_json;

const EXAMPLES: &str = "\
Examples:
  clawrden metrics
  clawrden metrics | grep -v '^#'
  clawrden metrics --json | jq '.[] | select(.name == \"clawrden_pending\").samples'

The same for a collector of metrics, at the control socket:
  curl --unix-socket /run/clawrden/control.sock http://clawrden/metrics
docs/operations.md says what each one means.";

/// Print what the warden counts, in Prometheus' text format
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Answer in JSON: a list of metrics with their samples
    #[arg(long)]
    json: bool,
}

/// One metric.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Metric {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    help: String,
    samples: Vec<Sample>,
}

/// One number of it.
#[derive(Debug, PartialEq, Serialize)]
struct Sample {
    /// The metric's name, or with `_total`, `_bucket`, `_sum` or `_count` behind it.
    name: String,
    labels: BTreeMap<String, String>,
    value: Value,
}

/// Runs the verb.
pub(crate) fn run(args: &Args, control: Option<&Path>) -> Outcome {
    let page = ask(control, async |client| client.metrics().await)?;
    if args.json {
        let metrics = read(&page).ok_or_else(|| {
            Failure::Refused(
                "what the warden counts is not understood; is it of another version?".to_owned(),
            )
        })?;
        print_json(&metrics)?;
    } else {
        print!("{page}");
    }
    done()
}

/// Understands a page in Prometheus' text format.
fn read(page: &str) -> Option<Vec<Metric>> {
    let mut all: Vec<Metric> = Vec::new();
    for line in page.lines().filter(|line| !line.is_empty()) {
        let Some(comment) = line.strip_prefix("# ") else {
            all.last_mut()?.samples.push(sample(line)?);
            continue;
        };
        let mut words = comment.splitn(3, ' ');
        let (what, name) = (words.next()?, words.next()?);
        let text = words.next().unwrap_or_default().to_owned();
        if all.last().is_none_or(|metric| metric.name != name) {
            all.push(Metric { name: name.to_owned(), ..Metric::default() });
        }
        let metric = all.last_mut()?;
        match what {
            "HELP" => metric.help = text,
            "TYPE" => metric.kind = text,
            _ => {}
        }
    }
    Some(all)
}

/// `name{label="value",…} number`.
fn sample(line: &str) -> Option<Sample> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, behind) = rest.split_once("=\"")?;
            let (value, behind) = quoted(behind)?;
            labels.insert(label.to_owned(), value);
            rest = behind.strip_prefix(',').unwrap_or(behind);
        }
        rest = rest.strip_prefix('}')?;
    }
    let number = rest.trim();
    // What JSON has no number for is told as a word.
    let value = serde_json::from_str(number).unwrap_or_else(|_| Value::from(number));
    Some(Sample { name: name.to_owned(), labels, value })
}

/// A label's value up to its quote, and what is behind it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_understood_whatever_stands_in_a_label() {
        let page = "# HELP a_b What it is\n# TYPE a_b histogram\na_b_bucket{x=\"q\\\"}, =\",le=\"+Inf\"} 3\na_b_sum 0.5\n\
                    # HELP c Other\n# TYPE c gauge\nc NaN\n";
        let all = read(page).unwrap();
        assert_eq!((all.len(), &all[0].kind[..], &all[1].help[..]), (2, "histogram", "Other"));
        assert_eq!(all[0].samples[0].labels["x"], "q\"}, =");
        let values: Vec<_> = all.iter().flat_map(|m| m.samples.iter().map(|s| &s.value)).collect();
        assert_eq!(values, [&Value::from(3), &Value::from(0.5), &Value::from("NaN")]);
        assert!(read("a{x=\"y} 1\n").is_none());
    }
}
