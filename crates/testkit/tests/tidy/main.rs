//! The rules of this repository that a compiler does not check: sizes, names, the direction of
//! dependencies, links between documents; in `proofs.rs`, the lists of rules and their tests. Start at
//! the tests; what they walk over is [`Tree`].

#![allow(
    clippy::unwrap_used,
    reason = "test support: a failure is the test's failure"
)]

mod proofs;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Lines that a source file may have, its tests left out.
const FILE_LINES_MAX: usize = 600;

/// Folders that hold no sources of ours.
const SKIPPED: [&str; 5] = ["target", "node_modules", ".venv", ".git", ".cache"];

/// Names that say nothing about what a file owns.
const FILE_NAMES_FORBIDDEN: [&str; 6] = ["utils", "util", "common", "helpers", "helper", "manager"];

/// Words that mean too much to be part of a public name, and what to say instead.
const WORDS_FORBIDDEN: [(&str, &str); 7] = [
    ("packet", "frame or message"),
    ("room", "channel or topic"),
    ("socket", "connection, stream or listener"),
    ("session", "connection or user"),
    ("data", "what it is: payload, message, bytes"),
    ("info", "what it says"),
    ("manager", "what it does"),
];

/// Which of our crates each crate may use outside its tests.
const DIRECTION: [(&str, &[&str]); 5] = [
    ("rupor-proto", &[]),
    ("rupor-hub", &[]),
    ("rupor-testkit", &[]),
    ("rupor-server", &["rupor-proto"]),
    ("rupor", &["rupor-proto", "rupor-server", "rupor-hub"]),
];

#[test]
fn source_files_are_short() {
    let mut long = Vec::new();
    for file in Tree::read().with_extensions(&["rs", "js", "mjs", "css", "py", "html"]) {
        let lines = lines_without_tests(file);
        if lines > FILE_LINES_MAX {
            long.push(format!("{}: {lines} lines", file.name));
        }
    }
    assert_none(
        &long,
        "files are over 600 lines: split them by what they own",
    );
}

#[test]
fn file_names_say_what_they_own() {
    let tree = Tree::read();
    let bad: Vec<_> = tree
        .files
        .iter()
        .flat_map(|file| file.name.split('/').map(move |part| (file, part)))
        .filter(|(_, part)| {
            let stem = part.split('.').next().unwrap_or(part).to_lowercase();
            FILE_NAMES_FORBIDDEN.contains(&stem.as_str())
        })
        .map(|(file, _)| file.name.clone())
        .collect();
    assert_none(&bad, "these names say nothing");
}

#[test]
fn every_module_says_what_it_owns() {
    let tree = Tree::read();
    let silent: Vec<_> = tree
        .with_extensions(&["rs"])
        .filter(|file| !file.is_tests())
        .filter(|file| !file.text.lines().any(|line| line.starts_with("//! ")))
        .map(|file| file.name.clone())
        .collect();
    assert_none(&silent, "these files have no //! docs");
}

#[test]
fn public_names_use_the_vocabulary() {
    let mut bad = Vec::new();
    for file in Tree::read().with_extensions(&["rs"]) {
        for name in public_names(&file.text) {
            let words = words_of(&name);
            if words.first().is_some_and(|word| word == "get") {
                bad.push(format!("{}: {name}: leave get_ out", file.name));
            }
            for (word, instead) in WORDS_FORBIDDEN {
                if words.iter().any(|w| w == word) {
                    bad.push(format!("{}: {name}: say {instead}", file.name));
                }
            }
        }
    }
    assert_none(&bad, "public names with words that mean too much");
}

#[test]
fn dependencies_point_one_way() {
    let mut bad = Vec::new();
    let mut seen = BTreeSet::new();
    for (folder, manifest) in crates() {
        let name = manifest_value(&manifest, "package", "name").unwrap_or_default();
        let Some((_, allowed)) = DIRECTION.iter().find(|(known, _)| *known == name) else {
            bad.push(format!(
                "{folder}: {name} is not in the table: say what it may use"
            ));
            continue;
        };
        seen.insert(name.clone());
        for (section, key) in manifest_keys(&manifest) {
            let of_ours = key == "rupor" || key.starts_with("rupor-");
            let in_tests = section == "dev-dependencies";
            let dependency = section.ends_with("dependencies");
            if dependency && of_ours && !in_tests && !allowed.contains(&key.as_str()) {
                bad.push(format!("{name} must not depend on {key} ([{section}])"));
            }
        }
    }
    assert_none(&bad, "dependencies in the wrong direction");
    assert_eq!(
        seen.len(),
        DIRECTION.len(),
        "a crate of the table is gone: {seen:?}"
    );
}

#[test]
fn the_protocol_crate_has_no_std_and_no_unsafe_code() {
    let root = fs::read_to_string(root().join("crates/proto/src/lib.rs")).unwrap();
    assert!(
        root.contains("#![no_std]"),
        "rupor-proto is no_std: no clock, socket or thread"
    );
    assert!(
        root.contains("#![forbid(unsafe_code)]"),
        "rupor-proto forbids unsafe code"
    );
}

/// A compiler for Windows would find these, too; who builds on Unix finds them here.
#[test]
fn what_only_unix_has_stands_in_one_place() {
    const NAMES: [&str; 6] = [
        "os::unix",
        "os::fd",
        "signal::unix",
        "net::unix",
        "net::Unix",
        "rustix::",
    ];
    let mut bad = Vec::new();
    for file in Tree::read().with_extensions(&["rs"]) {
        let is_source = file.name.starts_with("crates/") && file.name.contains("/src/");
        if !is_source || file.name == "crates/rupor/src/system/unix.rs" {
            continue;
        }
        for line in file.text.lines().take(lines_without_tests(file)) {
            let names = NAMES.iter().filter(|name| line.contains(**name));
            bad.extend(names.map(|name| format!("{}: {name}", file.name)));
        }
    }
    assert_none(
        &bad,
        "only crates/rupor/src/system/unix.rs says what Unix alone has, and other.rs beside it what there is instead",
    );
}

#[test]
fn links_in_documents_resolve() {
    let tree = Tree::read();
    let anchors: BTreeMap<&str, BTreeSet<String>> = tree
        .with_extensions(&["md"])
        .map(|file| (file.name.as_str(), anchors(&file.text)))
        .collect();
    let mut broken = Vec::new();
    for file in tree.with_extensions(&["md"]) {
        for link in links(&file.text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() {
                file.name.clone()
            } else {
                join(&file.name, path)
            };
            if !root().join(&target).exists() {
                broken.push(format!("{}: {link}: there is no {target}", file.name));
            } else if let (false, Some(anchors)) = (anchor.is_empty(), anchors.get(target.as_str()))
                && !anchors.contains(anchor)
            {
                broken.push(format!("{}: {link}: no such heading", file.name));
            }
        }
    }
    assert_none(&broken, "links that lead nowhere");
}

#[test]
fn every_decision_is_listed() {
    let folder = root().join("docs/adr");
    let index = fs::read_to_string(folder.join("README.md")).unwrap();
    let missing: Vec<_> = Tree::read()
        .with_extensions(&["md"])
        .filter_map(|file| file.name.strip_prefix("docs/adr/").map(str::to_owned))
        .filter(|name| name != "README.md" && !index.contains(&format!("({name})")))
        .collect();
    assert_none(&missing, "docs/adr/README.md does not list these");
}

/// Fails with every finding, not only the first.
#[track_caller]
fn assert_none(findings: &[String], what: &str) {
    assert!(findings.is_empty(), "{what}:\n  {}", findings.join("\n  "));
}

/// The repository's text files.
struct Tree {
    files: Vec<File>,
}

struct File {
    /// Path from the root, with slashes.
    name: String,
    text: String,
}

impl File {
    /// Whether the file is nothing but tests.
    fn is_tests(&self) -> bool {
        self.name
            .split('/')
            .any(|part| part == "tests" || part == "tests.rs" || part.contains(".test."))
    }
}

impl Tree {
    fn read() -> Self {
        let mut files = Vec::new();
        let mut folders = vec![root()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                if path.is_dir() && !SKIPPED.contains(&name.as_str()) {
                    folders.push(path);
                } else if path.is_file()
                    && let Ok(text) = fs::read_to_string(&path)
                {
                    let name = path
                        .strip_prefix(root())
                        .unwrap()
                        .to_string_lossy()
                        .into_owned();
                    files.push(File { name, text });
                }
            }
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        assert!(
            files.len() > 20,
            "the repository was not found at {:?}",
            root()
        );
        Self { files }
    }

    fn with_extensions(&self, extensions: &[&str]) -> impl Iterator<Item = &File> {
        self.files.iter().filter(move |file| {
            file.name
                .rsplit_once('.')
                .is_some_and(|(_, extension)| extensions.contains(&extension))
        })
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// Lines up to a trailing `#[cfg(test)] mod …`; none for a file that is all tests.
fn lines_without_tests(file: &File) -> usize {
    let parts: Vec<_> = file.name.split('/').collect();
    if parts
        .iter()
        .any(|part| *part == "tests" || *part == "tests.rs" || part.contains(".test."))
    {
        return 0;
    }
    let lines: Vec<_> = file.text.lines().collect();
    let tests = lines.windows(2).position(|pair| {
        pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{')
    });
    tests.unwrap_or(lines.len())
}

/// Names after `pub`: items, fields, constants, but not what is only `pub(crate)`. Enum variants
/// follow their enum and are left out.
fn public_names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for line in text.lines() {
        let Some(rest) = line.trim_start().strip_prefix("pub ") else {
            continue;
        };
        let mut words = rest.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        let name = words.find(|word| {
            let keyword = [
                "fn", "struct", "enum", "trait", "type", "const", "static", "mod",
            ];
            let modifier = ["async", "unsafe", "extern", "mut", ""];
            !keyword.contains(word) && !modifier.contains(word)
        });
        // A re-export says another's name.
        if let Some(name) = name.filter(|name| *name != "use" && *name != "crate") {
            names.push(name.to_owned());
        }
    }
    names
}

/// `WebSocketKey`, `web_socket_key` and `WEB_SOCKET_KEY` as lower-case words; "WebSocket" is one.
fn words_of(name: &str) -> Vec<String> {
    let name = name.replace("WebSocket", "Websocket");
    let mut words = vec![String::new()];
    let mut after_lower = false;
    for c in name.chars() {
        if c == '_' || (c.is_uppercase() && after_lower) {
            words.push(String::new());
        }
        after_lower = c.is_lowercase();
        if c != '_' {
            words.last_mut().unwrap().extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Each crate's folder and manifest.
fn crates() -> Vec<(String, String)> {
    let folders = fs::read_dir(root().join("crates")).unwrap();
    let folders = folders
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir());
    folders
        .map(|path| {
            let manifest = fs::read_to_string(path.join("Cargo.toml")).unwrap();
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                manifest,
            )
        })
        .collect()
}

/// `(section, key)` of every line `key = …` or `key.workspace = …`.
fn manifest_keys(manifest: &str) -> Vec<(String, String)> {
    let mut section = String::new();
    let mut keys = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_matches(['[', ']']).to_owned();
        } else if let Some((key, _)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
            let key = key
                .trim()
                .split('.')
                .next()
                .unwrap_or_default()
                .trim_matches('"');
            keys.push((section.clone(), key.to_owned()));
        }
    }
    keys
}

fn manifest_value(manifest: &str, section: &str, key: &str) -> Option<String> {
    let body = manifest.split(&format!("[{section}]")).nth(1)?;
    let line = body
        .lines()
        .find(|line| line.trim_start().starts_with(key))?;
    Some(line.split_once('=')?.1.trim().trim_matches('"').to_owned())
}

/// Targets of `[text](target)` and `[text]: target`, code left out.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text) {
        let mut rest = line.as_str();
        while let Some(at) = rest.find("](") {
            rest = &rest[at + 2..];
            if let Some(end) = rest.find(')') {
                found.push(rest[..end].split(' ').next().unwrap_or_default().to_owned());
            }
        }
        if let Some((name, target)) = line.split_once("]: ")
            && name.starts_with('[')
        {
            found.push(target.trim().to_owned());
        }
    }
    found
}

/// Headings as the anchors that code hosts make of them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).into_iter().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.collect::<String>().replace(' ', "-")
        })
        .collect()
}

/// The lines outside fenced code, inline code blanked out.
fn prose(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            // A heading keeps the words of its code: its anchor has them.
            let keep = line.starts_with('#');
            let parts = line.split('`').enumerate();
            lines.push(
                parts
                    .filter(|(i, _)| keep || i % 2 == 0)
                    .map(|(_, part)| part)
                    .collect(),
            );
        }
    }
    lines
}

/// `path` as seen from the file `from`, both from the root.
fn join(from: &str, path: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." => _ = parts.pop(),
            name => parts.push(name),
        }
    }
    parts.join("/")
}

#[test]
fn the_rules_find_what_they_look_for() {
    assert_eq!(words_of("UserDataMap"), ["user", "data", "map"]);
    assert_eq!(words_of("WebSocketKey"), ["websocket", "key"]);
    assert_eq!(words_of("MESSAGE_BYTES_MAX"), ["message", "bytes", "max"]);
    let text = "pub fn get_room() {}\n  pub struct Packet;\n pub use a::data;\n pub(crate) fn room() {}\n pub info: u8,";
    assert_eq!(public_names(text), ["get_room", "Packet", "info"]);
    assert_eq!(
        links("see [a](b/c.md#d) and `[x](y)`\n```\n[no](no)\n```\n"),
        ["b/c.md#d"]
    );
    assert!(anchors("## Build and `make test`\n").contains("build-and-make-test"));
    assert_eq!(join("docs/adr/README.md", "../plan.md"), "docs/plan.md");
    let keys =
        manifest_keys("[dependencies]\nrupor-hub.workspace = true\n[dev-dependencies]\na = 1");
    assert_eq!(keys[0], ("dependencies".to_owned(), "rupor-hub".to_owned()));
    assert_eq!(keys[1], ("dev-dependencies".to_owned(), "a".to_owned()));
}
