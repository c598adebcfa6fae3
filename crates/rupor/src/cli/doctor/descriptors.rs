//! Whether the system lets the process open as many files as the limits promise connections.

use super::Subject;
use super::findings::Findings;
use crate::cli::descriptors::fit;
use crate::system::open_files_max;

const CHECK: &str = "open files";

/// Looks at the limit of this process, which one that is started the same way has, too.
pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings) {
    let Some(limit) = open_files_max() else {
        return findings.ok(CHECK, "this system has no limit");
    };
    let wanted = subject.config.limits.connections_max;
    let (fitted, warning) = fit(subject.config, Some(limit));
    if warning.is_none() {
        return findings.ok(CHECK, format!("enough for connections_max = {wanted}"));
    }
    let what = format!(
        "started from here, rupor would take {} connections and not connections_max = {wanted}",
        fitted.limits.connections_max
    );
    let fix = "raise the limit with `ulimit -n`; a service has its own, LimitNOFILE= in systemd. Or lower --connections-max";
    findings.warning(CHECK, what, fix);
}
