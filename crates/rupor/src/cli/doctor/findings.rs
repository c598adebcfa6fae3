//! What was found: how bad it is, what it is, what to do.

use serde_json::json;
use std::fmt;
use std::process::ExitCode;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    /// As it should be.
    Ok,
    /// It works, but perhaps not for long or not for everybody.
    Warning,
    /// It does not work.
    Problem,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

#[derive(Debug)]
struct Finding {
    check: &'static str,
    level: Level,
    what: String,
    fix: Option<String>,
}

/// All that was found, in the order in which it was looked for.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    /// As it should be.
    pub(super) fn ok(&mut self, check: &'static str, what: impl Into<String>) {
        self.push(check, Level::Ok, what.into(), None);
    }

    /// It works, but perhaps not for long or not for everybody.
    pub(super) fn warning<'f>(
        &mut self,
        check: &'static str,
        what: impl Into<String>,
        fix: impl Into<Option<&'f str>>,
    ) {
        let fix = fix.into().map(str::to_owned);
        self.push(check, Level::Warning, what.into(), fix);
    }

    /// It does not work.
    pub(super) fn problem(&mut self, check: &'static str, what: impl Into<String>, fix: &str) {
        self.push(check, Level::Problem, what.into(), Some(fix.to_owned()));
    }

    /// `serve` would not start with this. The error says its own fix.
    pub(super) fn refused(&mut self, check: &'static str, error: &dyn fmt::Display) {
        let text = error.to_string();
        let (what, fix) = match text.split_once(" Fix: ") {
            Some((what, fix)) => (what, Some(fix.trim_end_matches('.').to_owned())),
            None => (text.as_str(), None),
        };
        let what = what.trim_end_matches('.').to_owned();
        self.push(check, Level::Problem, what, fix);
    }

    /// It does not work. The error may say its own fix; `fix` is for those that do not.
    pub(super) fn failed(&mut self, check: &'static str, error: &str, fix: &str) {
        let (what, fix) = error.split_once(". Fix: ").unwrap_or((error, fix));
        self.problem(check, what, fix);
    }

    fn push(&mut self, check: &'static str, level: Level, what: String, fix: Option<String>) {
        self.0.push(Finding {
            check,
            level,
            what,
            fix,
        });
    }

    fn count(&self, level: Level) -> usize {
        let same = |finding: &&Finding| finding.level == level;
        self.0.iter().filter(same).count()
    }

    /// Whether there are problems.
    pub(super) fn exit_code(&self) -> ExitCode {
        match self.count(Level::Problem) {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        }
    }

    /// For people, or as one JSON object.
    pub(super) fn shown(&self, as_json: bool) -> String {
        let (problems, warnings) = (self.count(Level::Problem), self.count(Level::Warning));
        if as_json {
            let findings: Vec<_> = self.0.iter().map(Finding::json).collect();
            let all = json!({"problems": problems, "warnings": warnings, "findings": findings});
            return all.to_string();
        }
        let mut text: String = self.0.iter().map(ToString::to_string).collect();
        text.push_str(&match (problems, warnings) {
            (0, 0) => "nothing is wrong".to_owned(),
            (problems, warnings) => {
                format!(
                    "{}, {}",
                    counted(problems, "problem"),
                    counted(warnings, "warning")
                )
            }
        });
        text
    }
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

impl Finding {
    fn json(&self) -> serde_json::Value {
        json!({"check": self.check, "level": self.level.word(), "what": self.what, "fix": self.fix})
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = self.level.word();
        writeln!(formatter, "{level:<8} {}: {}", self.check, self.what)?;
        match &self.fix {
            Some(fix) => writeln!(formatter, "{:<8} Fix: {fix}", ""),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_people_and_for_programs() {
        let mut findings = Findings::default();
        assert_eq!(findings.shown(false), "nothing is wrong");
        findings.ok("clock", "it goes");
        findings.warning("php", "it is old", "take a new one");
        findings.refused("configuration", &"a.toml:1: no. Fix: write yes.");
        findings.failed("outbox", "no table. Fix: make one", "start it");
        findings.failed("outbox", "no answer", "start it");
        let text = findings.shown(false);
        let expected = "ok       clock: it goes\nwarning  php: it is old\n         Fix: take a new one\n\
             problem  configuration: a.toml:1: no\n         Fix: write yes\n\
             problem  outbox: no table\n         Fix: make one\nproblem  outbox: no answer\n         Fix: start it\n\
             3 problems, 1 warning";
        assert_eq!(text, expected);
        let json: serde_json::Value = serde_json::from_str(&findings.shown(true)).unwrap();
        assert_eq!(json["problems"], 3);
        assert_eq!(json["findings"][0]["fix"], serde_json::Value::Null);
        let last = json!({"check": "configuration", "level": "problem", "what": "a.toml:1: no", "fix": "write yes"});
        assert_eq!(json["findings"][2], last);
    }
}
