//! The PHP that runs the handlers: whether it is there, new enough, has what the library uses, and likes the script.

use super::Subject;
use super::findings::Findings;
use crate::config::{PhpConfig, parse};
use crate::demo::OLDEST_PHP;
use std::ffi::OsStr;
use std::io;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

const CHECK: &str = "php";
/// How long PHP may take.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// Prints lines that begin with `rupor `: PHP may print warnings of its own before. Written so that old versions read it, too.
const QUESTIONS: &str = r#"
echo "\nrupor version ", PHP_VERSION_ID, " ", PHP_VERSION, "\n";
foreach (array("hash", "json", "pcre", "SPL", "standard") as $extension) {
    if (!extension_loaded($extension)) { echo "rupor lacks ", $extension, "\n"; }
}
foreach (array("fopen", "stream_select", "stream_socket_client", "hash_hmac", "json_decode") as $function) {
    if (!function_exists($function)) { echo "rupor disabled ", $function, "\n"; }
}"#;

/// Looks where the configuration has handlers in processes.
pub(super) async fn check(subject: &Subject<'_>, findings: &mut Findings) {
    let mut known: Vec<(&str, bool)> = Vec::new();
    for php in &subject.config.php {
        // Pools may differ in it, but seldom do.
        let judged = known.iter().find(|(binary, _)| *binary == php.binary);
        let will_do = match judged {
            Some((_, will_do)) => *will_do,
            None => binary(php, findings).await,
        };
        known.push((&php.binary, will_do));
        if will_do {
            script(php, findings).await;
        }
    }
}

/// Whether the program that runs a pool will do.
async fn binary(php: &PhpConfig, findings: &mut Findings) -> bool {
    match ask(php, ["-r", QUESTIONS]).await {
        Ok((_, answer)) => judge(&php.binary, &answer, findings),
        Err(error) => {
            let binary = parse::shown(&php.binary);
            let fix = "install PHP (Debian: `apt install php-cli`), or say where it is: php.binary = \"/usr/bin/php8.3\"";
            findings.problem(CHECK, format!("{binary} does not run: {error}"), fix);
            false
        }
    }
}

/// Runs PHP: whether it ended well, and what it printed.
async fn ask<I: AsRef<OsStr>>(
    php: &PhpConfig,
    arguments: impl IntoIterator<Item = I>,
) -> io::Result<(bool, String)> {
    let run = Command::new(&php.binary)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let output = timeout(ANSWER_DEADLINE, run).await.map_err(late)??;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Ok((output.status.success(), text))
}

/// Whether this PHP will do.
fn judge(binary: &str, answer: &str, findings: &mut Findings) -> bool {
    let lines = || {
        answer
            .lines()
            .filter_map(|line| line.strip_prefix("rupor "))
    };
    let named = |what: &str| -> Vec<&str> {
        let names = lines().filter_map(|line| line.strip_prefix(what));
        names.map(str::trim).collect()
    };
    let versions = named("version");
    let version = versions.first().and_then(|version| version.split_once(' '));
    let Some((Ok(number), version)) =
        version.map(|(number, version)| (number.parse::<u32>(), version))
    else {
        let what = format!("{} is no PHP", parse::shown(binary));
        findings.problem(CHECK, what, "name PHP for the command line: php.binary");
        return false;
    };
    let (oldest, oldest_number) = OLDEST_PHP;
    if number < oldest_number {
        let fix = format!("install PHP {oldest} or newer, and name it in php.binary");
        let what = format!("PHP {version} is older than {oldest}");
        findings.problem(CHECK, what, &fix);
        return false;
    }
    let (lacks, disabled) = (named("lacks"), named("disabled"));
    if !lacks.is_empty() {
        let what = format!("PHP {version} lacks the extensions {}", lacks.join(", "));
        findings.problem(CHECK, what, "install or enable them in php.ini");
    }
    if lacks.is_empty() && !disabled.is_empty() {
        let what = format!("PHP {version} may not call {}", disabled.join(", "));
        let fix = "take them out of disable_functions in the php.ini of the command line";
        findings.problem(CHECK, what, fix);
    }
    let will_do = lacks.is_empty() && disabled.is_empty();
    if will_do {
        findings.ok(CHECK, format!("PHP {version}, with what handlers need"));
    }
    will_do
}

/// Lets PHP read the script without running it.
async fn script(php: &PhpConfig, findings: &mut Findings) {
    let name = php.script.display();
    match ask(php, [OsStr::new("-l"), php.script.as_os_str()]).await {
        Ok((true, _)) => findings.ok(CHECK, format!("{name} can be read by it")),
        Ok((false, printed)) => {
            let line = printed.lines().find(|line| line.contains("rror:"));
            let line = crate::log::printed(line.unwrap_or("PHP refuses it"));
            findings.problem(
                CHECK,
                line,
                "correct the script: no process can be started with it",
            );
        }
        Err(error) => findings.warning(CHECK, format!("{name}: {error}"), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_php_lacks_is_told() {
        let judged = |answer: &str| {
            let mut findings = Findings::default();
            let will_do = judge("php", answer, &mut findings);
            (will_do, findings.shown(false))
        };
        let (will_do, text) = judged("PHP Warning: x\n\nrupor version 80229 8.2.29\n");
        assert!(
            will_do && text.contains("ok       php: PHP 8.2.29"),
            "{text}"
        );
        for (answer, what) in [
            ("", "\"php\" is no PHP"),
            ("rupor version x y", "is no PHP"),
            ("rupor version 70433 7.4.33", "PHP 7.4.33 is older than 8.1"),
            (
                "rupor version 80100 8.1.0\nrupor lacks json",
                "lacks the extensions json",
            ),
            (
                "rupor version 80100 8.1.0\nrupor disabled fopen\nrupor disabled hash_hmac",
                "may not call fopen, hash_hmac",
            ),
        ] {
            let (will_do, text) = judged(answer);
            assert!(
                !will_do && text.contains(what) && text.contains("Fix: "),
                "{text}"
            );
        }
    }
}
