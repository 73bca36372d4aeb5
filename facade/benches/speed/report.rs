//! Rows, medians, the table and the JSON.

use std::fs;
use std::path::Path;

use cpu_time::ProcessTime;
use polytls_benches::ends::Failure;
use polytls_benches::pki::Pki;
use polytls_benches::setup::{Library, Mode, Side};
use serde_json::json;

use crate::Options;

/// What a row must show.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// Facade over plain, at most.
    Ratio(f64),
    /// The facade's own figure, at most.
    Figure(f64),
    /// The facade's figure above the plain library's, at most.
    Beyond(f64),
    None,
}

/// What a row measures.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) library: Library,
    /// `None` where it makes no difference.
    pub(crate) mode: Option<Mode>,
    pub(crate) unit: &'static str,
    pub(crate) target: Target,
    /// Whether the plain library has it at all.
    pub(crate) plain: bool,
}

impl Row {
    pub(crate) fn new(name: impl Into<String>, library: Library, mode: Option<Mode>) -> Self {
        let (unit, target) = ("µs", Target::None);
        Self { name: name.into(), library, mode, unit, target, plain: true }
    }

    pub(crate) fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    pub(crate) fn target(mut self, target: Target) -> Self {
        self.target = target;
        self
    }

    pub(crate) fn without_plain(mut self) -> Self {
        self.plain = false;
        self
    }

    fn label(&self) -> String {
        let mode = self.mode.map_or("-", Mode::name);
        format!("{:38} {:8} {mode:9}", self.name, self.library.name())
    }
}

/// One run of the program.
pub(crate) struct Run {
    pub(crate) pki: Pki,
    pub(crate) quick: bool,
    filter: Option<String>,
    rounds: Option<usize>,
    side: Option<Side>,
    results: Vec<serde_json::Value>,
    missed: Vec<String>,
}

impl Run {
    pub(crate) fn new(pki: Pki, options: &Options) -> Self {
        println!("{:57} {:>10} {:>10} {:>7}  target", "row", "facade", "plain", "ratio");
        let &Options { quick, rounds, side, .. } = options;
        let filter = options.rows.clone();
        Self { pki, quick, filter, rounds, side, results: Vec::new(), missed: Vec::new() }
    }

    /// Whether a row is asked for.
    pub(crate) fn wants(&self, row: &Row) -> bool {
        self.filter.as_ref().is_none_or(|filter| {
            let label = row.label().split_whitespace().collect::<Vec<_>>().join(" ");
            filter.split(',').any(|words| words.split('+').all(|word| label.contains(word)))
        })
    }

    /// Fewer of something in a quick run.
    pub(crate) fn scaled(&self, count: usize) -> usize {
        if self.quick { (count / 10).max(1) } else { count }
    }

    /// Measures both sides in turns, and reports the medians.
    pub(crate) fn measure(
        &mut self,
        row: &Row,
        rounds: usize,
        mut batch: impl FnMut(Side) -> Result<f64, Failure>,
    ) -> Result<(), Failure> {
        let usual = if self.quick { rounds.min(3) } else { rounds };
        let rounds = self.rounds.unwrap_or(usual);
        let plain_too = Side::BOTH.into_iter().filter(|side| row.plain || *side == Side::Facade);
        let sides: Vec<Side> =
            plain_too.filter(|side| self.side.is_none_or(|only| only == *side)).collect();
        let mut samples = [Vec::new(), Vec::new()];
        for round in 0..rounds {
            for turn in 0..sides.len() {
                // Neither is always first.
                let side = sides[(round + turn) % sides.len()];
                samples[side as usize].push(batch(side)?);
            }
        }
        let [facade, plain] = samples.map(median);
        self.report(row, facade, plain);
        Ok(())
    }

    fn report(&mut self, row: &Row, facade: f64, plain: f64) {
        let ratio = facade / plain;
        let (target, met) = match row.target {
            Target::Ratio(most) => (format!("≤ {most:.2}"), Some(ratio <= most)),
            Target::Figure(most) => (format!("≤ {most} {}", row.unit), Some(facade <= most)),
            Target::Beyond(most) => (format!("≤ plain + {most}"), Some(facade <= plain + most)),
            Target::None => (String::new(), None),
        };
        let mark = match met {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "",
        };
        let or_dash = |number: f64, digits: usize| {
            if number.is_nan() { "–".into() } else { format!("{number:.digits$}") }
        };
        let line = format!(
            "{} {:>10} {:>10} {:>7}  {target} {mark}",
            row.label(),
            or_dash(facade, 2),
            or_dash(plain, 2),
            or_dash(ratio, 3),
        );
        println!("{}", line.trim_end());
        if met == Some(false) {
            self.missed.push(line);
        }
        self.results.push(json!({
            "row": row.name,
            "library": row.library.name(),
            "mode": row.mode.map(Mode::name),
            "unit": row.unit,
            "facade": facade,
            "plain": if plain.is_nan() { None } else { Some(plain) },
            "ratio": if ratio.is_nan() { None } else { Some(ratio) },
            "target": target,
            "met": met,
        }));
    }

    /// Ends the table.
    pub(crate) fn finish(self, json: Option<&Path>) -> Result<(), Failure> {
        println!("\n{} rows, {} targets missed", self.results.len(), self.missed.len());
        for line in &self.missed {
            println!("{line}");
        }
        if let Some(path) = json {
            fs::write(path, serde_json::to_string_pretty(&self.results)?)?;
        }
        Ok(())
    }
}

/// The CPU time of the whole process, so of both ends, for one of `count` operations, in µs; and
/// what they made, whose end is not measured.
pub(crate) fn cpu_of<T>(
    count: usize,
    operations: impl FnOnce() -> Result<T, Failure>,
) -> Result<(f64, T), Failure> {
    let start = ProcessTime::now();
    let made = operations()?;
    Ok((start.elapsed().as_secs_f64() * 1e6 / count as f64, made))
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    match samples.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => samples[n / 2],
        n => (samples[n / 2 - 1] + samples[n / 2]) / 2.0,
    }
}
