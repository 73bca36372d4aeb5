//! Each clause of the contract names the case that holds a backend to it, and that case says the
//! same of itself.

use std::collections::BTreeSet;

use polytls_conformance::cases;

const CONTRACT: &str = include_str!("../../facade/core/src/backend.rs");

/// Tests that are no cases, since they need a peer of their own making.
const TESTS: [(&str, &str); 2] = [
    ("mutation", include_str!("mutation.rs")),
    ("ticket_in_pieces", include_str!("ticket_in_pieces.rs")),
];

/// A clause: its number, and the name of what holds a backend to it.
fn clauses() -> Vec<(String, String)> {
    let text = CONTRACT
        .lines()
        .map(|line| line.trim().trim_start_matches("//!").trim_start_matches("///").trim())
        .collect::<Vec<_>>()
        .join(" ");
    // "- R1. Stores ..." up to the next clause.
    let mut clauses = Vec::new();
    for part in text.split("- ").skip(1) {
        let Some((number, rest)) = part.split_once(". ") else { continue };
        let mut letters = number.chars();
        let is_number = letters.next().is_some_and(|c| c.is_ascii_uppercase())
            && number.len() > 1
            && letters.all(|c| c.is_ascii_digit());
        if is_number {
            let name = rest.split('`').skip(1).step_by(2).filter(|word| is_a_case(rest, word));
            clauses.push((number.to_owned(), name.last().unwrap_or_default().to_owned()));
        }
    }
    clauses
}

/// Whether this quoted word is what "case" or "test" names.
fn is_a_case(clause: &str, word: &str) -> bool {
    [format!("case `{word}`"), format!("test `{word}`")].iter().any(|text| clause.contains(text))
}

#[test]
fn every_clause_names_what_holds_a_backend_to_it() {
    let clauses = clauses();
    assert!(clauses.len() >= 20, "only {} clauses were found", clauses.len());
    let numbers: BTreeSet<_> = clauses.iter().map(|(number, _)| number).collect();
    assert_eq!(numbers.len(), clauses.len(), "a number stands twice: {clauses:?}");
    for (number, name) in &clauses {
        if let Some((_, test)) = TESTS.iter().find(|(test, _)| test == name) {
            assert!(test.contains(number), "{name} does not hold {number}");
            continue;
        }
        let case = cases::by_name(name);
        let case = case.unwrap_or_else(|| panic!("clause {number} names {name:?}: no such case"));
        assert!(case.clauses().contains(&number.as_str()), "{name} does not hold {number}");
    }
}

#[test]
fn every_case_is_named_by_the_clauses_that_it_holds() {
    let clauses: BTreeSet<_> = clauses().into_iter().collect();
    for case in cases::all() {
        for number in case.clauses() {
            let pair = ((*number).to_owned(), case.name().to_owned());
            assert!(clauses.contains(&pair), "{number} does not name {}", case.name());
        }
    }
}

#[test]
fn every_case_has_a_name_of_its_own_in_its_family() {
    let mut seen = BTreeSet::new();
    for case in cases::all() {
        let name = case.name();
        assert!(seen.insert(name), "{name} stands twice");
        let well_formed = name.split_once("::").is_some_and(|(family, case)| {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            !case.is_empty() && family.chars().all(plain) && case.chars().all(plain)
        });
        assert!(well_formed, "{name}");
    }
}
