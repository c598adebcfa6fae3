//! What can be wrong with a configuration. Every message names the place, the option and the fix.

use std::fmt;
use std::path::PathBuf;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A flag on the command line, `--listen`.
    Flag(String),
    /// An environment variable, `RUPOR_LISTEN`.
    Environment(String),
    /// A key of the file.
    File {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The key in full, `tls.cert`.
        key: String,
    },
    /// Nobody wrote it: it is the default of this flag.
    Default(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => formatter.write_str(flag),
            Self::Environment(name) => write!(formatter, "environment variable {name}"),
            Self::File { path, line, key } => {
                write!(formatter, "{}:{line}: `{key}`", path.display())
            }
            Self::Default(flag) => write!(formatter, "the default of {flag}"),
        }
    }
}

/// Why a text is not a value of its kind, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// What is wrong: `"foo" is not an address`.
    pub(crate) what: String,
    /// What to do: `write HOST:PORT, for example 127.0.0.1:8000`.
    pub(crate) fix: String,
}

impl Problem {
    /// A problem and its fix, both without a full stop.
    pub(crate) fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            fix: fix.into(),
        }
    }

    /// Says where the text stood.
    pub(crate) fn at(self, origin: &Origin) -> ConfigError {
        ConfigError::Invalid {
            origin: origin.clone(),
            problem: self,
        }
    }
}

/// A configuration that the program does not start with.
#[derive(Debug)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file is not TOML.
    Syntax {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The parser's words.
        message: String,
    },
    /// A key that no option has.
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The key in full.
        key: String,
        /// The most similar key that exists.
        nearest: Option<String>,
    },
    /// A value that its option does not take.
    Invalid {
        /// Where it was written.
        origin: Origin,
        /// What is wrong with it.
        problem: Problem,
    },
    /// Options that do not go together, or one that is missing.
    Conflict(Problem),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, error } => write!(
                formatter,
                "{}: cannot be read: {error}. Fix: name another file with --config, or make this one readable.",
                path.display()
            ),
            Self::Syntax {
                path,
                line,
                message,
            } => {
                let message = message.trim().replace('\n', ": ");
                write!(formatter, "{}:{line}: not TOML: {message}", path.display())
            }
            Self::UnknownKey {
                path,
                line,
                key,
                nearest,
            } => {
                write!(
                    formatter,
                    "{}:{line}: there is no option `{}`.",
                    path.display(),
                    // A key in quotes may hold what a terminal obeys.
                    key.escape_debug()
                )?;
                match nearest {
                    Some(nearest) => write!(formatter, " Did you mean `{nearest}`?"),
                    None => formatter.write_str(" All of them: docs/reference/configuration.md."),
                }
            }
            Self::Invalid { origin, problem } => {
                let Problem { what, fix } = problem;
                write!(formatter, "{origin}: {what}. Fix: {fix}.")
            }
            Self::Conflict(Problem { what, fix }) => write!(formatter, "{what}. Fix: {fix}."),
        }
    }
}

impl std::error::Error for ConfigError {}

/// The most similar of `candidates`, if any is similar enough to be what was meant.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    // A long word is not worth the quadratic comparison: it is no slip of the pen.
    if word.len() > 64 {
        return None;
    }
    candidates
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance, in bytes.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.bytes().enumerate() {
        let mut diagonal = i;
        let mut before = i + 1;
        for (r, cell) in right.bytes().zip(row.iter_mut().skip(1)) {
            let changed = diagonal + usize::from(l != r);
            diagonal = *cell;
            *cell = changed.min(*cell + 1).min(before + 1);
            before = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("same", "same"), 0);
    }

    #[test]
    fn nearest_takes_slips_only() {
        let words = ["listen", "inlet", "workers"];
        assert_eq!(nearest("lisen", words.into_iter()), Some("listen"));
        assert_eq!(nearest("worker", words.into_iter()), Some("workers"));
        assert_eq!(nearest("colour", words.into_iter()), None);
        assert_eq!(nearest(&"x".repeat(65), words.into_iter()), None);
    }
}
