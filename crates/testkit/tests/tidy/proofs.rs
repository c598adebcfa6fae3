//! The documents that say which tests hold what: all that they name is there, no row is without a
//! test or a reason, and no section of an RFC that demands something is without a row.

use std::collections::BTreeSet;
use std::fs;

use super::{assert_none, root};

/// The documents.
const PROOFS: [&str; 2] = [
    "docs/reference/rfc-musts.md",
    "docs/reference/known-faults.md",
];

/// Sections with a MUST, MUST NOT or REQUIRED for somebody who is not only a registry.
const DEMANDING: [(&str, &[&str]); 3] = [
    (
        "6455",
        &[
            "3", "4.1", "4.2.1", "4.2.2", "4.4", "5.1", "5.2", "5.3", "5.4", "5.5", "5.5.1",
            "5.5.2", "5.6", "5.8", "6.1", "6.2", "7.1.2", "7.1.7", "7.2.1", "7.2.2", "7.4.1",
            "8.1", "9", "9.1", "10.3", "10.4", "10.6", "10.7", "11.1.1", "11.1.2", "11.3.1",
            "11.3.2", "11.3.3", "11.3.4", "11.3.5",
        ],
    ),
    (
        "7692",
        &[
            "5", "6.1", "6.2", "7", "7.1.1.1", "7.1.1.2", "7.1.2.1", "7.1.2.2", "7.2.1", "7.2.2",
        ],
    ),
    ("8441", &["3", "4", "5"]),
];

/// Crates with a published fault, the first version without it, and the fault.
const FAULTLESS: [(&str, [u32; 3], &str); 4] = [
    ("bytes", [1, 11, 1], "RUSTSEC-2026-0007"),
    ("h2", [0, 4, 16], "RUSTSEC-2026-0258"),
    ("rustls", [0, 23, 18], "RUSTSEC-2024-0399"),
    ("zlib-rs", [0, 4, 0], "RUSTSEC-2024-0401"),
];

/// Words before the name of an item.
const KEYWORDS: [&str; 9] = [
    "fn", "struct", "enum", "trait", "const", "static", "type", "mod", "function",
];

/// A row of a table.
struct Row {
    /// Document and line.
    place: String,
    /// The heading above it.
    heading: String,
    /// The table's header and this row's cell, column by column.
    cells: Vec<(String, String)>,
}

impl Row {
    fn cell(&self, column: &str) -> Option<&str> {
        let found = self.cells.iter().find(|(name, _)| name == column);
        found.map(|(_, cell)| cell.as_str())
    }
}

#[test]
fn what_proofs_name_is_there() {
    let mut missing = Vec::new();
    let mut named = 0;
    for document in PROOFS {
        let text = fs::read_to_string(root().join(document)).unwrap();
        for code in references(&text) {
            named += 1;
            let (path, item) = code.split_once("::").unwrap_or((code, ""));
            let Some(text) = read(path) else {
                missing.push(format!("{document}: {code}: there is no such file"));
                continue;
            };
            if !item.is_empty() && !defines(&text, item) {
                missing.push(format!("{document}: {code}: the file has no such item"));
            }
        }
    }
    assert!(named > 100, "only {named} references were found");
    assert_none(&missing, "documents name what is not there");
}

#[test]
fn every_rule_is_held_by_a_test_or_has_a_reason() {
    let mut bare = Vec::new();
    for row in rows() {
        let place = &row.place;
        if let Some(held) = row.cell("held by") {
            let tests = references(held);
            if tests.is_empty() {
                bare.push(format!("{place}: no test"));
            }
            let others = tests.into_iter().filter(|code| !is_test(code));
            bare.extend(others.map(|code| format!("{place}: {code} is no test")));
        }
        if row
            .cell("code")
            .is_some_and(|code| references(code).is_empty())
        {
            bare.push(format!("{place}: no code"));
        }
        if row.cells.iter().any(|(_, cell)| cell.is_empty()) {
            bare.push(format!("{place}: an empty cell"));
        }
    }
    assert_none(&bare, "rows without a test or a reason");
}

#[test]
fn every_section_that_demands_something_has_a_row() {
    let mut found = BTreeSet::new();
    for row in rows() {
        let rfc = row.heading.strip_prefix("RFC ").and_then(|it| it.get(..4));
        if let (Some(rfc), Some(sections)) = (rfc, row.cell("§")) {
            found.extend(
                sections
                    .split(", ")
                    .map(|it| (rfc.to_owned(), it.to_owned())),
            );
        }
    }
    let demanded = DEMANDING
        .iter()
        .flat_map(|(rfc, all)| all.iter().map(|it| ((*rfc).to_owned(), (*it).to_owned())));
    let missing: Vec<_> = demanded
        .filter(|section| !found.contains(section))
        .map(|(rfc, section)| format!("RFC {rfc} §{section}"))
        .collect();
    assert_none(&missing, "docs/reference/rfc-musts.md has no row for these");
}

#[test]
fn locked_crates_are_past_their_published_faults() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let packages: Vec<(&str, &str)> = lock
        .split("[[package]]")
        .filter_map(|package| {
            let value = |key: &str| {
                let line = package.lines().find_map(|line| line.strip_prefix(key));
                line.map(|it| it.trim_matches(['"', '=', ' ']))
            };
            Some((value("name")?, value("version")?))
        })
        .collect();
    let mut old = Vec::new();
    for (name, first, fault) in FAULTLESS {
        let locked = packages.iter().filter(|(other, _)| *other == name);
        let versions: Vec<_> = locked.map(|(_, version)| *version).collect();
        assert!(!versions.is_empty(), "{name} is not used: leave it out");
        for version in versions {
            let parts = version.split(['.', '-', '+']);
            let numbers: Vec<u32> = parts.map_while(|it| it.parse().ok()).collect();
            if numbers.as_slice() < first.as_slice() {
                old.push(format!("{name} {version}: {fault}"));
            }
        }
    }
    assert_none(&old, "Cargo.lock has versions with published faults");
}

/// The rows of all tables of the documents.
fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for document in PROOFS {
        let text = fs::read_to_string(root().join(document)).unwrap();
        let (mut heading, mut header) = (String::new(), Vec::new());
        for (number, line) in text.lines().enumerate() {
            if let Some(title) = line.strip_prefix("## ") {
                title.clone_into(&mut heading);
            }
            let Some(inner) = line.strip_prefix('|').and_then(|it| it.strip_suffix('|')) else {
                header.clear();
                continue;
            };
            let cells: Vec<_> = inner.split('|').map(|it| it.trim().to_owned()).collect();
            if header.is_empty() {
                header = cells;
            } else if !inner.starts_with("---") {
                let place = format!("{document}:{}", number + 1);
                assert_eq!(cells.len(), header.len(), "{place}: cells");
                rows.push(Row {
                    place,
                    heading: heading.clone(),
                    cells: header.iter().cloned().zip(cells).collect(),
                });
            }
        }
    }
    assert!(rows.len() > 50, "only {} rows were found", rows.len());
    rows
}

/// Paths of source files in backticks, with what is behind their `::`.
fn references(text: &str) -> Vec<&str> {
    let code = text.split('`').skip(1).step_by(2);
    code.filter(|code| {
        let path = code.split("::").next().unwrap_or(code);
        path.contains('/')
            && [".rs", ".mjs", ".php"]
                .iter()
                .any(|end| path.ends_with(end))
    })
    .collect()
}

/// A file of `crates/`, or of the root.
fn read(path: &str) -> Option<String> {
    let below = fs::read_to_string(root().join("crates").join(path));
    below
        .or_else(|_| fs::read_to_string(root().join(path)))
        .ok()
}

/// Whether the text defines an item of this name; of a test of node's, that is its title.
fn defines(text: &str, item: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    text.contains(&format!("test('{item}'"))
        || KEYWORDS.iter().any(|keyword| {
            let definition = format!("{keyword} {item}");
            text.match_indices(&definition)
                .any(|(at, _)| !text[at + definition.len()..].starts_with(is_name))
        })
}

/// Whether the reference is a test, by the attributes above it.
fn is_test(code: &str) -> bool {
    let (path, item) = code.split_once("::").unwrap_or((code, ""));
    let Some(text) = read(path) else { return false };
    if !path.ends_with(".rs") {
        return true;
    }
    let lines: Vec<_> = text.lines().map(str::trim_start).collect();
    lines.iter().enumerate().any(|(at, line)| {
        let line = line.strip_prefix("async ").unwrap_or(line);
        let name = line.strip_prefix("fn ").and_then(|it| it.split('(').next());
        let above = lines[..at].iter().rev();
        let mut attributes = above.take_while(|it| it.starts_with("#[") || it.starts_with("//"));
        name == Some(item) && attributes.any(|it| it.contains("test]") || it.contains("test("))
    })
}

#[test]
fn proofs_are_read_as_they_are_meant() {
    assert_eq!(
        references("`a/b.rs::c`, `Upgrade: websocket`, `e2e/x.test.mjs`"),
        ["a/b.rs::c", "e2e/x.test.mjs"]
    );
    assert!(defines("pub(crate) fn one(", "one") && !defines("fn one_more(", "one"));
    assert!(defines("test('it works', async", "it works"));
    let here = "testkit/tests/tidy/proofs.rs";
    assert!(is_test(&format!(
        "{here}::proofs_are_read_as_they_are_meant"
    )));
    assert!(!is_test(&format!("{here}::rows")));
}
