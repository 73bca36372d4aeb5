//! Known deviations: tests that must fail, each with the reason upstream.

/// A line of the deviations file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deviation {
    /// How the names of the tests start that it is about.
    pub test: String,
    /// Why, with its reference upstream.
    pub reason: String,
    /// How to see it without this suite.
    pub reproduction: String,
}

/// The suite's own: `deviations.txt`.
pub fn known() -> Vec<Deviation> {
    parse(include_str!("../deviations.txt"))
}

/// Reads a deviations file.
///
/// # Panics
///
/// For a line that does not have its three parts.
pub fn parse(text: &str) -> Vec<Deviation> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let parts: Vec<_> = line.split('|').map(str::trim).collect();
            let [test, reason, reproduction] = parts[..] else {
                panic!("a deviation has three parts, test | reason | reproduction: {line}")
            };
            assert!(!reason.is_empty() && !reproduction.is_empty(), "unexplained: {line}");
            Deviation {
                test: test.into(),
                reason: reason.into(),
                reproduction: reproduction.into(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lines_and_skips_the_rest() {
        let text = "# why\n\n close::x/a-b | upstream#1 | run it \n";
        let [deviation] = &parse(text)[..] else { panic!("one line") };
        assert_eq!(deviation.test, "close::x/a-b");
        assert_eq!(deviation.reason, "upstream#1");
        assert_eq!(deviation.reproduction, "run it");
        let _ = known();
    }
}
