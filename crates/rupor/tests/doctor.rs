//! `rupor doctor`: each thing that goes wrong in the first hour is made to, and is found with what to do about it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failure here is the failure of the test that called"
)]

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rupor_testkit::Process;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

const KEY: &str = "c4f1e09a7b3d58264e9f10b2a6d7c835f0e1d2c3b4a59687";

/// A folder with a configuration.
struct Site(TempDir);

impl Site {
    /// `more` comes behind what is right: free ports, and a key.
    fn new(more: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let base = format!(
            "auth = \"none\"\nlisten = [\"127.0.0.1:0\"]\ninlet = [\"tcp://127.0.0.1:0\"]\napi_key = \"{KEY}\"\n"
        );
        fs::write(folder.path().join("rupor.toml"), base + more).unwrap();
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let path = self.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.path()).env_remove("RUPOR_CONFIG");
        command
    }

    /// What the doctor says, and how it ended.
    fn doctor(&self, arguments: &[&str]) -> (String, Option<i32>) {
        let mut command = self.command(env!("CARGO_BIN_EXE_rupor"));
        output(command.arg("doctor").args(arguments))
    }

    /// That it finds this problem with this fix.
    #[track_caller]
    fn finds(&self, arguments: &[&str], problem: &str, fix: &str) {
        let (text, code) = self.doctor(arguments);
        let lines: Vec<&str> = text.lines().collect();
        let at = lines
            .iter()
            .position(|line| line.starts_with("problem") && line.contains(problem));
        let at = at.unwrap_or_else(|| panic!("no problem with {problem}:\n{text}"));
        let next = lines.get(at + 1).copied().unwrap_or_default();
        assert!(
            next.trim_start().starts_with("Fix: ") && next.contains(fix),
            "no {fix}:\n{text}"
        );
        assert_eq!(code, Some(1), "{text}");
    }

    /// That it finds no problem, and says this.
    #[track_caller]
    fn says(&self, arguments: &[&str], line: &str) {
        let (text, code) = self.doctor(arguments);
        assert!(
            text.lines().any(|said| said.starts_with(line)),
            "no {line}:\n{text}"
        );
        assert_eq!(code, Some(0), "{text}");
    }
}

fn output(command: &mut Command) -> (String, Option<i32>) {
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
    assert!(!text.contains(KEY), "{text}");
    (text, output.status.code())
}

#[test]
fn where_all_is_right_nothing_must_be_done() {
    let site = Site::new("");
    let (text, code) = site.doctor(&[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("ok       configuration: rupor.toml is right"),
        "{text}"
    );
    assert!(text.contains("0 problems, "), "{text}");
    let (json, _) = site.doctor(&["--json"]);
    assert!(
        json.starts_with("{\"findings\":[") && json.contains("\"problems\":0"),
        "{json}"
    );
}

#[test]
fn a_configuration_that_serve_would_not_take() {
    let (text, code) = Site::new("lisen = []\n").doctor(&[]);
    assert_eq!(code, Some(1), "{text}");
    let line =
        "problem  configuration: rupor.toml:5: there is no option `lisen`. Did you mean `listen`?";
    assert!(text.starts_with(line), "{text}");
    Site::new("drain = \"soon\"\n").finds(&[], "`drain`: \"soon\" is not a time", "15s");
}

#[test]
fn an_address_that_is_none() {
    let (text, code) = Site::new("").doctor(&["https://example.org/"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("wss://example.org/ws/"), "{text}");
}

#[test]
fn too_few_open_files() {
    let site = Site::new("");
    let command = format!("ulimit -n 256; exec {} doctor", env!("CARGO_BIN_EXE_rupor"));
    let (text, code) = output(site.command("sh").args(["-c", &command]));
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("warning  open files: ") && text.contains("LimitNOFILE="),
        "{text}"
    );
}

#[test]
fn a_clock_that_is_behind() {
    let site = Site::new("");
    // A program that was written the day after tomorrow: the clock cannot be right.
    let program = site.path().join("rupor").display().to_string();
    let original = env!("CARGO_BIN_EXE_rupor");
    shell(&format!(
        "cp {original} {program}; touch --date '50 hours' {program}"
    ));
    let (text, code) = output(site.command(&program).arg("doctor"));
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("written 2 days from now") && text.contains("NTP"),
        "{text}"
    );
}

#[test]
fn ports_that_cannot_be_listened_on() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap().to_string();
    let site = Site::new("");
    site.finds(
        &["--listen", &taken],
        &format!("another program listens on {taken}"),
        "--listen",
    );
    let inlet = format!("tcp://{taken}");
    site.finds(&["--inlet", &inlet], "another program listens", "--inlet");
    site.finds(
        &["--listen", "192.0.2.1:8000"],
        "192.0.2.1:8000 cannot be listened on",
        "this machine does not have that address",
    );
    let socket = "unix:///nowhere/rupor.sock";
    site.finds(
        &["--inlet", socket],
        "no folder for /nowhere",
        "mkdir /nowhere",
    );
}

#[test]
fn a_rupor_that_runs_is_no_problem() {
    let site = Site::new("");
    let mut command = site.command(env!("CARGO_BIN_EXE_rupor"));
    command.arg("serve");
    let rupor = Process::spawn(command);
    let address = rupor.wait_for_address("listening on ws://").to_string();
    let says = format!("ok       port: rupor listens on {address} already");
    site.says(&["--listen", &address], &says);
    // Where the key is another one it is still seen to be one.
    let other = Site::new("");
    let file = fs::read_to_string(other.path().join("rupor.toml")).unwrap();
    other.write("rupor.toml", file.replace(KEY, &KEY.replace('c', "d")));
    other.says(&["--listen", &address], &says);
}

#[test]
fn pages_that_may_not_connect() {
    let site = Site::new("origin = [\"https://shop.example\", \"null\"]\n");
    let (text, _) = site.doctor(&[]);
    assert!(
        text.contains("warning  origin: null is in the list"),
        "{text}"
    );
    // The address need not answer for this.
    let url = "wss://127.0.0.1:9/";
    site.finds(
        &[url, "--page", "https://other.example"],
        "pages of https://other.example may not connect to 127.0.0.1:9",
        "origin = [\"https://other.example\"]",
    );
    let (text, _) = site.doctor(&[url, "--page", "https://shop.example"]);
    assert!(
        text.contains("ok       origin: pages of https://shop.example"),
        "{text}"
    );
    site.finds(
        &["ws://192.0.2.1:9/", "--page", "https://shop.example"],
        "may not open ws://",
        "wss://",
    );
}

/// An authority, and certificates of it.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer }
    }

    /// A site whose certificate is for example.org until `days` from now, and the flag that believes the authority.
    fn site(&self, days: i64) -> (Site, String) {
        let site = Site::new("[tls]\ncert = \"cert.pem\"\nkey = \"key.pem\"\n");
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["example.org".to_owned()]).unwrap();
        let now = SystemTime::now();
        let day = Duration::from_secs(86_400);
        let end = if days < 0 {
            now - day * days.unsigned_abs().try_into().unwrap()
        } else {
            now + day * days.unsigned_abs().try_into().unwrap() + Duration::from_secs(600)
        };
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = end.into();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        site.write("cert.pem", certificate.pem());
        site.write("key.pem", key.serialize_pem());
        let ca = site.write("ca.pem", self.issuer.pem());
        (site, ca)
    }
}

#[test]
fn certificates_that_browsers_would_not_take() {
    let authority = Authority::new("ours");
    let (site, ca) = authority.site(90);
    site.says(
        &["--ca", &ca],
        "ok       certificate: it is believed, for 14 days and more",
    );
    let url = "wss://www.example.org:1/";
    site.finds(
        &["--ca", &ca, url],
        "it is not for www.example.org, it is for DnsName(\"example.org\")",
        "subjectAltNames",
    );
    // Nobody knows the authority.
    for name in ["another", "ours"] {
        let other = site.write("other.pem", Authority::new(name).issuer.pem());
        let unknown = "nobody whom this system believes";
        site.finds(&["--ca", &other], unknown, "fullchain.pem");
    }
    // A key of another certificate.
    let key = KeyPair::generate().unwrap().serialize_pem();
    site.write("key.pem", key);
    site.finds(
        &["--ca", &ca],
        "does not belong to the certificate",
        "--tls-key",
    );

    let (soon, ca) = authority.site(5);
    soon.says(&["--ca", &ca], "warning  certificate: it expires in 5 days");
    let (expired, ca) = authority.site(-1);
    expired.finds(&["--ca", &ca], "certificate expired", "SIGHUP");
}

#[test]
fn php_that_does_not_do() {
    if !has_php() {
        return;
    }
    let site = Site::new("");
    let good = site.write("good.php", "<?php echo 1;");
    site.says(&["--php", &good], "ok       php: PHP ");
    let missing = ["--php", &good, "--php-binary", "/nowhere/php"];
    site.finds(
        &missing,
        "\"/nowhere/php\" does not run",
        "apt install php-cli",
    );
    let bad = site.write("bad.php", "<?php function {");
    site.finds(&["--php", &bad], "syntax error", "correct the script");
    // A real PHP, of somebody who was careful.
    let careful = site.path().join("php").display().to_string();
    let php = "exec php -d disable_functions=fopen,stream_select \"$@\"";
    shell(&format!(
        "printf '#!/bin/sh\\n%s\\n' '{php}' >{careful}; chmod 755 {careful}"
    ));
    let disabled = ["--php", &good, "--php-binary", &careful];
    site.finds(
        &disabled,
        "may not call fopen, stream_select",
        "disable_functions",
    );
    site.finds(
        &["--php", &good, "--php-binary", "/bin/true"],
        "is no PHP",
        "php.binary",
    );
}

/// Programs are written by another process: a file that this one writes, the child of another thread's test may hold open while
/// it is run.
fn shell(command: &str) {
    let ended = Command::new("sh").args(["-ec", command]).status();
    assert!(ended.unwrap().success());
}

fn has_php() -> bool {
    Command::new("php").arg("-v").output().is_ok()
}

#[test]
fn a_file_in_the_place_of_the_address_is_told_its_flag() {
    let (text, code) = Site::new("").doctor(&["rupor.toml"]);
    assert!(text.contains("by --config FILE"), "{text}");
    assert_eq!(code, Some(2), "{text}");
}

#[test]
fn what_handlers_and_publications_need_is_not_there() {
    let site = Site::new("[redis]\nurl = \"redis://:hush@127.0.0.1:1/0\"\n");
    site.finds(&[], "redis: ", "start Redis");
    assert!(!site.doctor(&[]).0.contains("hush"));

    let script = site.write("ws.php", "<?php");
    let fpm = |address: &str| ["--fpm", &script, "--fpm-address", address].map(str::to_owned);
    for (address, fix) in [
        ("tcp://127.0.0.1:1", "start php-fpm: nobody listens there"),
        (
            "unix:///nowhere/fpm.sock",
            "or name the socket that it has in fpm.address",
        ),
    ] {
        let flags = fpm(address);
        site.finds(&flags.each_ref().map(String::as_str), "php-fpm: ", fix);
    }
    let key = site.write("hook.key", KEY);
    let hook = [
        "--webhook-url",
        "http://127.0.0.1:1/ws",
        "--webhook-key-file",
        &key,
    ];
    site.finds(&hook, "webhook: ", "from this machine");
}
