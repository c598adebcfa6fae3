//! Configurations that `rupor` must not start with, and which of several places wins: the real program.
#![allow(
    clippy::expect_used,
    reason = "a failure here is the failure of the test that called"
)]

use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

const RUPOR: &str = env!("CARGO_BIN_EXE_rupor");
/// A secret that must never be printed. Long and varied enough to be taken.
const CANARY: &str = "canary-7f3a9c51d2e84b60a1b2c3d4e5f60718";

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Runs `rupor` with these arguments in `folder`, without any `RUPOR_…` but these.
fn rupor(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(RUPOR);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("RUPOR_") {
            command.env_remove(name);
        }
    }
    let environment = environment.iter().copied();
    command
        .args(arguments)
        .envs(environment)
        .current_dir(folder)
        .output()
        .expect("rupor runs")
}

/// What it complained of: exit code 2, one line or more on standard error, no panic, no secret.
fn refusal(output: &Output, what: &str) -> String {
    let text = String::from_utf8(output.stderr.clone()).expect("UTF-8");
    assert_eq!(output.status.code(), Some(2), "{what}: {text}");
    assert!(!text.contains("panicked"), "{what}: {text}");
    assert!(!text.contains(CANARY), "{what} shows a secret: {text}");
    assert!(output.stdout.is_empty(), "{what}");
    text
}

fn check(folder: &Path, file: &str) -> Output {
    std::fs::write(folder.join("rupor.toml"), file).expect("it can be written");
    rupor(folder, &["check"], &[])
}

/// The file, the line that is named, and what else the message holds.
const BROKEN: &[(&str, usize, &[&str])] = &[
    (
        "lisen = [\"127.0.0.1:0\"]",
        1,
        &["`lisen`", "Did you mean `listen`"],
    ),
    ("\n\nworker = 2", 3, &["`worker`", "`workers`"]),
    ("[tls]\ncertificate = \"a\"", 2, &["`tls.certificate`"]),
    ("[tls]\nkeys = \"a\"", 2, &["`tls.keys`", "`tls.key`"]),
    (
        "[limits]\nmessage_byte_max = 5",
        2,
        &["`limits.message_byte_max`", "`limits.message_bytes_max`"],
    ),
    ("[nonsense]\na = 1", 1, &["`nonsense`", "no option"]),
    ("tls = 5", 1, &["`tls`", "[tls]"]),
    (
        "listen = 8000",
        1,
        &["`listen`", "integer", "list of texts"],
    ),
    ("listen = [8000]", 1, &["`listen`", "double quotes"]),
    (
        "listen = []\nauth = \"none\"",
        0,
        &["no address to listen on", "--listen"],
    ),
    (
        "listen = \"here\"",
        1,
        &["`listen`", "\"here\"", "127.0.0.1:8000"],
    ),
    (
        "listen = [\n\"127.0.0.1:1\",\n\"x\"]",
        3,
        &["`listen`", "\"x\""],
    ),
    (
        "listen = \"127.0.0.1:99999\"",
        1,
        &["`listen`", "ADDRESS:PORT"],
    ),
    ("inlet = \"127.0.0.1:1234\"", 1, &["`inlet`", "tcp://"]),
    (
        "inlet = \"unix://relative.sock\"",
        1,
        &["`inlet`", "absolute"],
    ),
    ("workers = 0", 1, &["`workers`", "1 to 256"]),
    ("workers = 257", 1, &["`workers`", "1 to 256"]),
    ("workers = \"many\"", 1, &["`workers`", "\"many\""]),
    ("workers = 1.5", 1, &["`workers`", "whole number"]),
    ("workers = true", 1, &["`workers`", "whole number"]),
    (
        "workers = 99999999999999999999",
        1,
        &["`workers`", "1 to 256"],
    ),
    ("pages = \"yes\"", 1, &["`pages`", "without quotes"]),
    ("auth = \"maybe\"", 1, &["`auth`", "\"jwt\"", "\"none\""]),
    ("auth = \"jwt\"", 0, &["option `auth`", "[[jwt]]"]),
    ("", 0, &["option `auth`", "auth = \"none\""]),
    (
        "auth = \"none\"\n[[jwt]]\nalgorithm = \"HS256\"\nkey = \"k\"",
        2,
        &["`jwt`", "\"jwt\""],
    ),
    (
        "[[jwt]]\nkey = \"canary-7f3a9c51d2e84b60a1b2c3d4e5f60718\"",
        1,
        &["`jwt`", "`algorithm` is missing"],
    ),
    (
        "[[jwt]]\nalgorithm = \"none\"\nkey = \"canary-7f3a9c51d2e84b60a1b2c3d4e5f60718\"",
        2,
        &["`jwt.algorithm`", "HS256"],
    ),
    ("[[jwt]]\nalgorithm = \"HS256\"", 1, &["`jwt`", "key_file"]),
    (
        "[[jwt]]\nalgorithm = \"HS256\"\nkey = \"short\"",
        3,
        &["`jwt.key`", "32 bytes", "openssl rand"],
    ),
    (
        "[[jwt]]\nalgorithm = \"HS256\"\nkey = \"changemechangemechangemechangeme\"",
        3,
        &["`jwt.key`", "guessed"],
    ),
    (
        "[[jwt]]\nalgorithm = \"HS256\"\nkey_file = \"missing.key\"",
        3,
        &["`jwt.key_file`", "missing.key"],
    ),
    (
        "[[jwt]]\nalgorithm = \"HS256\"\nkey_fil = \"a\"",
        3,
        &["`jwt.key_fil`", "`jwt.key_file`"],
    ),
    (
        "[[jwt]]\nalgorithm = \"RS256\"\nkey = \"canary-7f3a9c51d2e84b60a1b2c3d4e5f60718\"",
        3,
        &["`jwt.key`", "PEM"],
    ),
    (
        "[[jwt]]\nalgorithm = \"HS256\"\nkey = \"-----BEGIN PUBLIC KEY-----\"",
        3,
        &["`jwt.key`", "PEM"],
    ),
    (
        "[[jwt]]\nalgorithm = \"ES256\"\nkey = \"-----BEGIN PRIVATE KEY-----\"",
        3,
        &["`jwt.key`", "private"],
    ),
    ("[jwt]\nalgorithm = \"HS256\"", 1, &["`jwt`", "[[jwt]]"]),
    (
        "[[jwt]]\nalgorithm = \"HS256\"\nkey = \"canary-7f3a9c51d2e84b60a1b2c3d4e5f60718\"\n[token]\nfrom = [\"cookie\"]",
        5,
        &["`token.from`", "\"query\""],
    ),
    (
        "[[jwt]]\nalgorithm = \"HS256\"\nkey = \"canary-7f3a9c51d2e84b60a1b2c3d4e5f60718\"\n[token]\nleeway = \"1d\"",
        5,
        &["`token.leeway`", "15s"],
    ),
    (
        "auth = \"none\"\napi_key = \"secret\"",
        2,
        &["`api_key`", "32"],
    ),
    (
        "auth = \"none\"\napi_key = \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"",
        2,
        &["`api_key`", "guessed"],
    ),
    (
        "auth = \"none\"\napi_key = \"q8w7e6r5t4 q8w7e6r5t4 q8w7e6r5t4 q8w7e6r5t4\"",
        2,
        &["`api_key`", "space"],
    ),
    (
        "auth = \"none\"\napi_key_file = \"/nowhere/key\"",
        2,
        &["`api_key_file`", "/nowhere/key"],
    ),
    (
        "auth = \"none\"\norigin = [\"example.org\"]",
        2,
        &["`origin`", "https://"],
    ),
    (
        "auth = \"none\"\norigin = [\"https://*.example.org\"]",
        2,
        &["`origin`"],
    ),
    (
        "auth = \"none\"\nsubprotocol = [\"a b\"]",
        2,
        &["`subprotocol`", "\"a b\""],
    ),
    (
        "auth = \"none\"\nclient_address = \"x-forwarded-for\"",
        2,
        &["`client_address`", "trusted_proxy = [\"127.0.0.1\"]"],
    ),
    (
        "auth = \"none\"\nclient_address = \"x-real-ip\"",
        2,
        &["`client_address`", "\"proxy-protocol\""],
    ),
    (
        "auth = \"none\"\ntrusted_proxy = [\"10.0.0.0/40\"]",
        2,
        &["`trusted_proxy`", "10.0.0.0/8"],
    ),
    (
        "auth = \"none\"\ndrain = 15",
        2,
        &["`drain`", "double quotes"],
    ),
    ("auth = \"none\"\ndrain = \"soon\"", 2, &["`drain`", "15s"]),
    (
        "auth = \"none\"\nlog = \"rupor=loud\"",
        2,
        &["`log`", "debug"],
    ),
    (
        "auth = \"none\"\nlog_format = \"xml\"",
        2,
        &["`log_format`", "\"json\""],
    ),
    (
        "auth = \"none\"\n[[channel]]\nsubscribe = \"anyone\"",
        2,
        &["`channel`", "`name` is missing"],
    ),
    (
        "auth = \"none\"\n[[channel]]\nname = \"a*b\"",
        3,
        &["`channel.name`"],
    ),
    (
        "auth = \"none\"\n[[channel]]\nname = \"a\"\nsubscribe = \"all\"",
        4,
        &["`channel.subscribe`", "\"anyone\""],
    ),
    (
        "auth = \"none\"\n[[channel]]\nname = \"a\"\nsubscribe = \"anyone\"\npublish = \"user\"",
        5,
        &["`channel.publish`", "did you mean \"users\"?"],
    ),
    (
        "auth = \"none\"\n[[channel]]\nname = \"a\"\nslow = \"drop\"",
        4,
        &["`channel.slow`", "\"drop-newest\""],
    ),
    (
        "auth = \"none\"\n[[application]]\npath = \"chat\"\nname = \"chat\"",
        3,
        &["`application.path`", "/PATH"],
    ),
    (
        "auth = \"none\"\n[[application]]\npath = \"/\"\nname = \"shell\"",
        4,
        &["`application.name`", "\"echo\""],
    ),
    (
        "auth = \"none\"\n\"\\u001b[31m\\u202e\" = 1",
        2,
        &["`\\u{1b}[31m\\u{202e}`"],
    ),
    (
        "auth = \"none\"\n[[channel]]\nname = \"inbox:{user}*\"",
        3,
        &["`channel.name`", "ann", "inbox:{user}:*"],
    ),
    (
        "auth = \"none\"\n[limits]\nchannels_max = 0",
        3,
        &["`limits.channels_max`"],
    ),
    (
        "auth = \"none\"\n[limits]\npublish_bytes_max = \"1 TB\"",
        3,
        &["`limits.publish_bytes_max`", "64KiB"],
    ),
    (
        "auth = \"none\"\n[tls]\ncert = \"cert.pem\"",
        3,
        &["`tls.cert`", "--tls-key"],
    ),
    (
        "auth = \"none\"\n[tls]\ncert = \"cert.pem\"\nkey = \"key.pem\"",
        3,
        &["`tls.cert`", "cert.pem"],
    ),
    ("listen = [", 1, &["not TOML"]),
    (
        "auth = \"none\"\nauth = \"none\"",
        2,
        &["not TOML", "duplicate"],
    ),
    ("a = 1 b = 2", 1, &["not TOML"]),
    ("\u{0}", 1, &["not TOML"]),
];

#[test]
fn broken_files_are_refused_by_line_and_key() {
    let folder = folder();
    for (file, line, parts) in BROKEN {
        let text = refusal(&check(folder.path(), file), file);
        if *line > 0 {
            assert!(
                text.contains(&format!("rupor.toml:{line}:")),
                "{file}\n{text}"
            );
        }
        for part in *parts {
            assert!(text.contains(part), "{file}\nhas no {part:?} in\n{text}");
        }
    }
}

#[test]
fn sessions_that_nobody_asks_about_are_told_with_the_line_to_write() {
    let folder = folder();
    for (auth, told) in [
        ("auth = \"none\"", "write auth = [\"session\"]"),
        (
            "auth = \"webhook\"\nauth_webhook.url = \"http://127.0.0.1/\"\nauth_webhook.key = \"canary-7f3a9c51d2e84b60a1b2c3d4e5f60718\"",
            "write auth = [\"session\", \"webhook\"]",
        ),
    ] {
        let file = format!("{auth}\n[session]\nfiles = \"/tmp\"");
        let text = refusal(&check(folder.path(), &file), auth);
        assert!(text.contains(told), "{text}");
    }
    let text = refusal(
        &check(folder.path(), "[session]\nuser = \"id\""),
        "no place",
    );
    assert!(text.contains("`files` or `redis` in [session]"), "{text}");
}

#[test]
fn files_that_are_no_text_are_refused() {
    let folder = folder();
    let path = folder.path().join("rupor.toml");
    std::fs::write(&path, b"auth = \"\xff\"").unwrap();
    assert!(refusal(&rupor(folder.path(), &["check"], &[]), "bytes").contains("rupor.toml"));
    std::fs::write(&path, "#".repeat(1024 * 1024 + 1)).unwrap();
    assert!(refusal(&rupor(folder.path(), &["check"], &[]), "too long").contains("1048576"));
    std::fs::write(&path, "[".repeat(100_000)).unwrap();
    assert!(refusal(&rupor(folder.path(), &["check"], &[]), "nested").contains("rupor.toml:1:"));
    let missing = rupor(folder.path(), &["check", "--config", "no.toml"], &[]);
    assert!(refusal(&missing, "missing").contains("no.toml"));
    let folder_as_file = rupor(folder.path(), &["check", "--config", "."], &[]);
    assert!(refusal(&folder_as_file, "folder").contains("--config"));
}

/// Flags, environment, and what the message holds.
type WrongPlace = (
    &'static [&'static str],
    &'static [(&'static str, &'static str)],
    &'static [&'static str],
);

#[test]
fn a_key_file_over_the_limit_is_refused() {
    let folder = folder();
    let file = "auth = \"none\"\napi_key_file = \"api.key\"";
    // 64 KiB are read, one byte more is not; both are varied enough.
    let long: String = (b'A'..=b'Z')
        .cycle()
        .take(64 * 1024 + 1)
        .map(char::from)
        .collect();
    for (key, right) in [(&long[1..], true), (&long[..], false)] {
        std::fs::write(folder.path().join("api.key"), key).expect("written");
        let output = check(folder.path(), file);
        assert_eq!(output.status.success(), right);
        if !right {
            assert!(refusal(&output, "long").contains("longer than 65536 bytes"));
        }
    }
}

#[test]
fn a_file_named_by_the_environment_is_enough() {
    let folder = folder();
    std::fs::write(folder.path().join("other.toml"), "workers = 0").expect("written");
    // No command: the file makes it `serve`, and the file is what is complained of.
    let output = rupor(folder.path(), &[], &[("RUPOR_CONFIG", "other.toml")]);
    assert!(refusal(&output, "named").contains("other.toml:1: `workers`"));
}

#[test]
fn a_file_may_be_named_without_a_flag() {
    let folder = folder();
    std::fs::write(folder.path().join("mine.toml"), "auth = \"none\"\n").expect("a file");
    let environment = [("RUPOR_CONFIG", "other.toml")];
    for environment in [&environment[..], &[]] {
        let output = rupor(folder.path(), &["check", "mine.toml"], environment);
        assert!(output.status.success(), "{output:?}");
    }
    let both = ["check", "mine.toml", "--config", "other.toml"];
    assert!(
        refusal(&rupor(folder.path(), &both, &[]), "both")
            .contains("FILE names the configuration, too")
    );
}

#[test]
fn flags_and_variables_are_named_when_they_are_wrong() {
    let folder = folder();
    let cases: &[WrongPlace] = &[
        (&["--workers", "0"], &[], &["--workers", "1 to 256"]),
        (&["--listen", "x"], &[], &["--listen", "\"x\""]),
        (&[], &[("RUPOR_LISTEN", "x")], &["RUPOR_LISTEN", "\"x\""]),
        (
            &[],
            &[("RUPOR_MESSAGE_BYTES_MAX", "x")],
            &["RUPOR_MESSAGE_BYTES_MAX"],
        ),
        (&["--tls-cert", "a"], &[], &["--tls-cert", "--tls-key"]),
        (
            &["--channel", "nme=a"],
            &[],
            &["--channel", "\"nme\"", "name, subscribe, publish, slow"],
        ),
        (
            &["--channel", "name=a,name=b"],
            &[],
            &["--channel", "twice"],
        ),
        (
            &[
                "--jwt",
                "algorithm=HS256,key=canary-7f3a9c51d2e84b60a1b2c3d4e5f60718",
            ],
            &[],
            &["--jwt", "key_file="],
        ),
        (
            &["--api-key", "canary"],
            &[],
            &["--api-key", "--api-key-file"],
        ),
        (&["--lisen", "a"], &[], &["--lisen", "--listen"]),
        // A part's name alone would silence everything else.
        (&["--log", "debg"], &[], &["--log", "\"debg\"", "debug"]),
        (&["--log", "info,rupor=debg"], &[], &["--log", "rupor=debg"]),
    ];
    for (flags, environment, parts) in cases {
        let arguments = [&["check", "--auth", "none"], *flags].concat();
        let text = refusal(
            &rupor(folder.path(), &arguments, environment),
            &format!("{flags:?}"),
        );
        for part in *parts {
            assert!(
                text.contains(part),
                "{flags:?} {environment:?}\nhas no {part:?} in\n{text}"
            );
        }
    }
}

#[test]
fn a_flag_wins_over_the_environment_over_the_file_over_the_default() {
    // Who wins shows in who is complained of.
    let folder = folder();
    let good = "auth = \"none\"\nworkers = 2";
    let bad = "auth = \"none\"\nworkers = 999";
    let run = |file: &str, environment: &[(&str, &str)], flags: &[&str]| {
        std::fs::write(folder.path().join("rupor.toml"), file).unwrap();
        rupor(folder.path(), &[&["check"], flags].concat(), environment)
    };
    let wrong = [("RUPOR_WORKERS", "998")];
    let right = [("RUPOR_WORKERS", "2")];
    assert!(run(good, &[], &[]).status.success());
    assert!(refusal(&run(bad, &[], &[]), "file").contains("rupor.toml:2:"));
    assert!(run(bad, &right, &[]).status.success());
    assert!(refusal(&run(good, &wrong, &[]), "environment").contains("RUPOR_WORKERS"));
    assert!(run(bad, &wrong, &["--workers", "2"]).status.success());
    assert!(refusal(&run(good, &right, &["--workers", "997"]), "flag").contains("--workers"));
    // An empty variable is none.
    assert!(refusal(&run(bad, &[("RUPOR_WORKERS", "")], &[]), "empty").contains("rupor.toml:2:"));
}

#[test]
fn good_configurations_are_taken() {
    let folder = folder();
    std::fs::write(folder.path().join("api.key"), format!("{CANARY}\n")).unwrap();
    std::fs::write(folder.path().join("jwt.key"), format!("{CANARY}\n")).unwrap();
    let good = [
        "auth = \"none\"",
        "auth = \"none\"\nlisten = [\"127.0.0.1:0\", \"[::1]:0\"]\ninlet = [\"unix:///tmp/a.sock\"]",
        "api_key_file = \"api.key\"\n[[jwt]]\nalgorithm = \"HS256\"\nkey_file = \"jwt.key\"",
        "[[jwt]]\nalgorithm = \"HS256\"\nkey_file = \"jwt.key\"\nid = \"a\"\n[[jwt]]\nalgorithm = \"HS512\"\nkey_file = \"jwt.key\"\nid = \"b\"",
        "auth = \"none\"\n[[channel]]\nname = \"inbox-{user}\"\nsubscribe = \"users\"\n[[application]]\npath = \"/a/*\"\nname = \"echo\"\nsubprotocol = [\"soap\"]",
        "auth = \"none\"\n[limits]\nmessage_bytes_max = \"16MiB\"",
        "auth = \"none\"\nlog = \"WARN,rupor::inlet=debug,rupor::gateway,h2=off\"",
    ];
    for file in good {
        let output = check(folder.path(), file);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{file}\n{text}");
        assert!(!text.contains(CANARY), "{text}");
    }
}

#[test]
fn a_key_that_is_not_the_certificates_is_found_out() {
    let folder = folder();
    let make = || rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a pair");
    let (one, other) = (make(), make());
    std::fs::write(folder.path().join("cert.pem"), one.cert.pem()).expect("written");
    let file = "auth = \"none\"\n[tls]\ncert = \"cert.pem\"\nkey = \"key.pem\"";
    for (key, right) in [(&other, false), (&one, true)] {
        let pem = key.signing_key.serialize_pem();
        std::fs::write(folder.path().join("key.pem"), pem).expect("written");
        let output = check(folder.path(), file);
        assert_eq!(output.status.success(), right);
        if !right {
            assert!(refusal(&output, "key").contains("key.pem"));
        }
    }
}

#[test]
fn everything_can_come_from_the_environment() {
    let folder = folder();
    let environment = [
        ("RUPOR_AUTH", "none"),
        ("RUPOR_LISTEN", "127.0.0.1:0 [::1]:0"),
        ("RUPOR_INLET", "tcp://127.0.0.1:0,unix:///tmp/b.sock"),
        ("RUPOR_API_KEY", CANARY),
        (
            "RUPOR_CHANNEL",
            "name=news,subscribe=anyone;name=chat-*,publish=users",
        ),
        (
            "RUPOR_APPLICATION",
            "path=/a,name=echo,subprotocol=soap+wamp",
        ),
    ];
    let output = rupor(folder.path(), &["check"], &environment);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_misspelt_variable_is_pointed_out() {
    let folder = folder();
    let environment = [
        ("RUPOR_LISEN", "127.0.0.1:0"),
        ("RUPOR_SERVICE_HOST", "10.0.0.1"),
    ];
    let output = rupor(folder.path(), &["check", "--auth", "none"], &environment);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("RUPOR_LISEN") && text.contains("RUPOR_LISTEN"),
        "{text}"
    );
    assert!(!text.contains("RUPOR_SERVICE_HOST"), "{text}");
}

#[test]
fn demo_refuses_everything_but_loopback() {
    let folder = folder();
    for (flag, value) in [("--listen", "0.0.0.0:0"), ("--inlet", "tcp://0.0.0.0:0")] {
        let output = rupor(folder.path(), &["demo", flag, value], &[]);
        let text = refusal(&output, flag);
        assert!(
            text.contains(flag) && text.contains("rupor serve"),
            "{text}"
        );
    }
}
