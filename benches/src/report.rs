//! What was measured, as a table for people and as JSON for programs.

use serde_json::{Value, json};

use crate::pairs::{Pair, Spread};

/// What numbers count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Millis,
    Micros,
    Nanos,
    MegabytesPerSecond,
    PerSecond,
    Megabytes,
    Bytes,
    Percent,
    Count,
}

impl Unit {
    fn word(self) -> &'static str {
        match self {
            Self::Millis => "ms",
            Self::Micros => "µs",
            Self::Nanos => "ns",
            Self::MegabytesPerSecond => "MB/s",
            Self::PerSecond => "/s",
            Self::Megabytes => "MB",
            Self::Bytes => "B",
            Self::Percent => "%",
            Self::Count => "",
        }
    }

    fn show(self, value: f64) -> String {
        let digits = usize::from(matches!(self, Self::Megabytes | Self::Millis | Self::Percent));
        let number = format!("{value:.digits$}");
        if self == Self::Count { number } else { format!("{number} {}", self.word()) }
    }
}

/// What a row may cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Budget {
    /// The ratio, at most.
    RatioUpTo(f64),
    /// The ratio, at least.
    RatioFrom(f64),
    /// The value, at most, in the row's unit.
    UpTo(f64),
    /// The value, at least.
    From(f64),
}

/// One line.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) what: String,
    unit: Unit,
    native: Option<Spread>,
    ours: Option<Spread>,
    ratio: Option<Spread>,
    calm: Option<f64>,
    budget: Option<Budget>,
    /// Something else than the number went wrong: the budget does not hold.
    missed: bool,
    /// Native held still; without that a ratio proves nothing, good or bad.
    steady: bool,
    note: String,
}

impl Row {
    /// Ours beside native.
    pub(crate) fn pair(what: impl Into<String>, unit: Unit, pair: &Pair) -> Self {
        let Pair { native, ours, ratio, calm, steady } = pair;
        let (native, ratio) = (Some(*native), Some(*ratio));
        Self { native, ratio, calm: *calm, steady: *steady, ..Self::value(what, unit, *ours) }
    }

    /// A number that has nothing beside it.
    pub(crate) fn value(what: impl Into<String>, unit: Unit, ours: Spread) -> Self {
        let what = what.into();
        Self {
            what,
            unit,
            native: None,
            ours: Some(ours),
            ratio: None,
            calm: None,
            budget: None,
            missed: false,
            steady: true,
            note: String::new(),
        }
    }

    /// What could not be measured, and why.
    pub(crate) fn skipped(what: impl Into<String>, why: impl Into<String>) -> Self {
        let row = Self::value(what, Unit::Count, Spread::only(0.0));
        Self { ours: None, ..row }.note(format!("skipped: {}", why.into()))
    }

    pub(crate) fn budget(self, budget: Budget) -> Self {
        Self { budget: Some(budget), ..self }
    }

    /// The budget is missed, whatever the number, if `missed`.
    pub(crate) fn missed_if(self, missed: bool) -> Self {
        Self { missed, ..self }
    }

    pub(crate) fn note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    /// Whether the budget holds; `None` where there is none, or nothing was measured.
    fn verdict(&self) -> Option<bool> {
        let budget = self.budget?;
        if self.missed {
            return Some(false);
        }
        if !self.steady {
            return None;
        }
        Some(match budget {
            Budget::RatioUpTo(most) => self.ratio?.median <= most,
            Budget::RatioFrom(least) => self.ratio?.median >= least,
            Budget::UpTo(most) => self.ours?.median <= most,
            Budget::From(least) => self.ours?.median >= least,
        })
    }

    fn cells(&self) -> [String; 8] {
        let show =
            |spread: Option<Spread>| spread.map_or(String::new(), |s| self.unit.show(s.median));
        let ratio = self.ratio.map_or(String::new(), |r| format!("{:.2}", r.median));
        let range = match (self.ratio, self.ours) {
            (Some(r), _) => format!("{:.2}..{:.2}", r.min, r.max),
            (None, Some(s)) if s.min < s.max => {
                format!("{}..{}", self.unit.show(s.min), self.unit.show(s.max))
            }
            _ => String::new(),
        };
        let calm = self.calm.map_or(String::new(), |calm| format!("{calm:.2}"));
        let budget = match self.budget {
            None => String::new(),
            Some(Budget::RatioUpTo(most)) => format!("≤ {most}"),
            Some(Budget::RatioFrom(least)) => format!("≥ {least}"),
            Some(Budget::UpTo(most)) => format!("≤ {}", self.unit.show(most)),
            Some(Budget::From(least)) => format!("≥ {}", self.unit.show(least)),
        };
        let verdict = match self.verdict() {
            None if self.budget.is_some() && !self.steady => {
                let told = format!("no verdict: native did not hold still; {}", self.note);
                told.trim_end_matches("; ").to_owned()
            }
            None => self.note.clone(),
            Some(good) => {
                let word = if good { "ok" } else { "OVER" };
                if self.note.is_empty() {
                    word.to_owned()
                } else {
                    format!("{word}; {}", self.note)
                }
            }
        };
        [self.what.clone(), show(self.native), show(self.ours), ratio, range, calm, budget, verdict]
    }

    fn to_json(&self) -> Value {
        let spread = |spread: Option<Spread>| {
            spread.map(|s| json!({"median": s.median, "min": s.min, "max": s.max}))
        };
        let budget = self.budget.map(|budget| match budget {
            Budget::RatioUpTo(most) => json!({"ratio_at_most": most}),
            Budget::RatioFrom(least) => json!({"ratio_at_least": least}),
            Budget::UpTo(most) => json!({"at_most": most}),
            Budget::From(least) => json!({"at_least": least}),
        });
        json!({
            "what": self.what,
            "unit": self.unit.word(),
            "native": spread(self.native),
            "ours": spread(self.ours),
            "ratio": spread(self.ratio),
            "ratio_when_calm": self.calm,
            "native_steady": self.steady,
            "budget": budget,
            "within_budget": self.verdict(),
            "note": self.note,
        })
    }
}

/// Everything that one run measured.
#[derive(Debug)]
pub(crate) struct Report {
    machine: Vec<(&'static str, String)>,
    groups: Vec<(String, Vec<Row>)>,
}

const HEADS: [&str; 8] = ["", "native", "ours", "ratio", "min..max", "calm", "budget", ""];

impl Report {
    pub(crate) fn new(machine: Vec<(&'static str, String)>) -> Self {
        Self { machine, groups: Vec::new() }
    }

    pub(crate) fn group(&mut self, title: &str, rows: Vec<Row>) {
        self.groups.push((title.to_owned(), rows));
    }

    /// The table.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        for (key, value) in &self.machine {
            text += &format!("{key:<10} {value}\n");
        }
        let cells = |rows: &[Row]| rows.iter().map(Row::cells).collect::<Vec<_>>();
        let mut widths = HEADS.map(|head| head.chars().count());
        for row in self.groups.iter().flat_map(|(_, rows)| cells(rows)) {
            for (width, cell) in widths.iter_mut().zip(&row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for (title, rows) in &self.groups {
            let mut heads = HEADS.map(str::to_owned);
            heads[0].clone_from(title);
            text += "\n";
            text += &line(&heads, &widths);
            for row in cells(rows) {
                text += &line(&row, &widths);
            }
        }
        text
    }

    pub(crate) fn to_json(&self) -> Value {
        let machine: serde_json::Map<String, Value> =
            self.machine.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        let groups: Vec<Value> = self
            .groups
            .iter()
            .map(|(title, rows)| {
                json!({"group": title, "rows": rows.iter().map(Row::to_json).collect::<Vec<_>>()})
            })
            .collect();
        json!({"machine": machine, "groups": groups})
    }
}

/// The first and the last cell to the left, numbers to the right.
fn line(cells: &[String; 8], widths: &[usize; 8]) -> String {
    let mut text = String::new();
    for (at, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let pad = " ".repeat(width.saturating_sub(cell.chars().count()));
        text += &match at {
            0 => format!("{cell}{pad}"),
            7 => format!("  {cell}"),
            _ => format!("  {pad}{cell}"),
        };
    }
    format!("{}\n", text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ratio: f64) -> Row {
        let pair = Pair {
            native: Spread::only(100.0),
            ours: Spread::only(150.0),
            ratio: Spread::only(ratio),
            calm: None,
            steady: true,
        };
        Row::pair("x", Unit::Micros, &pair)
    }

    #[test]
    fn a_budget_is_kept_up_to_its_very_number() {
        assert_eq!(row(1.5).budget(Budget::RatioUpTo(1.5)).verdict(), Some(true));
        assert_eq!(row(1.51).budget(Budget::RatioUpTo(1.5)).verdict(), Some(false));
        assert_eq!(row(0.94).budget(Budget::RatioFrom(0.95)).verdict(), Some(false));
        assert_eq!(row(9.0).budget(Budget::UpTo(150.0)).verdict(), Some(true));
    }

    #[test]
    fn what_was_skipped_keeps_no_budget_and_says_why() {
        let row = Row::skipped("sudo", "it is not installed").budget(Budget::RatioUpTo(1.0));
        assert_eq!(row.verdict(), None);
        assert!(row.cells()[7].contains("it is not installed"));
    }

    #[test]
    fn a_disturbed_run_proves_nothing_good_or_bad() {
        for ratio in [1.0, 9.0] {
            let row = Row { steady: false, ..row(ratio) }.budget(Budget::RatioUpTo(1.5));
            assert_eq!(row.verdict(), None);
            assert!(row.cells()[7].starts_with("no verdict"));
        }
    }

    #[test]
    fn what_failed_is_missed_however_good_its_number() {
        let row = row(1.0).budget(Budget::RatioUpTo(1.5)).missed_if(true);
        assert_eq!(row.verdict(), Some(false));
    }

    #[test]
    fn a_budget_that_is_missed_stands_out() {
        let mut report = Report::new(Vec::new());
        report.group("one command", vec![row(3.0).budget(Budget::RatioUpTo(1.5))]);
        assert!(report.to_text().contains("OVER"));
        assert_eq!(report.to_json()["groups"][0]["rows"][0]["within_budget"], false);
    }
}
