//! Whether the clock is right: tokens, signed addresses and certificates are judged by it.
//!
//! Without asking a server for the time, three things tell: what was written on this machine cannot be of the future, the
//! system knows whether it is synchronised, and who is asked anyway (rupor behind the public address, Redis) has a clock.

use super::findings::Findings;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

const CHECK: &str = "clock";
const FIX: &str =
    "let the machine's clock be set by NTP: `timedatectl set-ntp true`, or install chrony";
/// How far clocks may be apart that agree.
const APART_MAX: Duration = Duration::from_secs(5);
/// How far in the future a file may seem to be.
const FUTURE_MAX: Duration = Duration::from_secs(60);

/// Looks at this machine's clock alone.
pub(super) fn check(findings: &mut Findings) {
    let now = SystemTime::now();
    let written = std::env::current_exe().and_then(|path| path.metadata()?.modified());
    let future = written.map(|written| written.duration_since(now));
    if let Ok(Ok(future)) = future
        && future > FUTURE_MAX
    {
        let days = future.as_secs() / 86_400;
        let what = format!("the clock is behind: this program was written {days} days from now");
        return findings.problem(CHECK, what, FIX);
    }
    if is_synchronised() == Some(false) {
        let what = "the system says that its clock is not synchronised";
        return findings.warning(CHECK, what, FIX);
    }
    findings.ok(CHECK, "nothing says that it is wrong");
}

/// Compares with a clock elsewhere. `theirs`: the time there, since 1970.
pub(super) fn compare(whose: &str, theirs: Duration, findings: &mut Findings) {
    let ours = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let apart = ours.unwrap_or_default().abs_diff(theirs);
    if apart > APART_MAX {
        let seconds = apart.as_secs();
        let what = format!("{seconds} s apart from the clock of {whose}");
        findings.problem(CHECK, what, FIX);
    }
}

/// What systemd says, where it runs.
fn is_synchronised() -> Option<bool> {
    if !Path::new("/run/systemd/system").exists() {
        return None;
    }
    let asked = Command::new("timedatectl")
        .args(["show", "--property", "NTPSynchronized", "--value"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    match asked.ok()?.stdout.trim_ascii() {
        b"yes" => Some(true),
        b"no" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_are_apart() {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.unwrap();
        let told = |theirs| {
            let mut findings = Findings::default();
            compare("Redis", theirs, &mut findings);
            findings.shown(false)
        };
        assert_eq!(told(now), "nothing is wrong");
        for theirs in [
            now + Duration::from_secs(120),
            now - Duration::from_secs(120),
        ] {
            let text = told(theirs);
            assert!(text.contains("apart from the clock of Redis"), "{text}");
            assert!(text.contains("NTP"), "{text}");
        }
    }
}
