//! Arguments. The real program against the real program: `tests/clients.rs`.

use super::ConnectArgs;
use clap::{Args as _, Command, FromArgMatches as _};

fn arguments(arguments: &[&str]) -> Result<ConnectArgs, clap::Error> {
    let command = ConnectArgs::augment_args(Command::new("connect"));
    let all = ["connect"].iter().chain(arguments);
    ConnectArgs::from_arg_matches(&command.try_get_matches_from(all)?)
}

#[test]
fn headers_are_a_name_and_a_value() {
    let given = [
        "--header",
        "Cookie: PHPSESSID=a:b",
        "--header",
        "X-Empty:",
        "ws://localhost",
    ];
    let headers = arguments(&given).expect("right").header;
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        headers,
        [pair("Cookie", "PHPSESSID=a:b"), pair("X-Empty", "")]
    );
    for given in [
        &["--header", "no colon", "ws://localhost"] as &[&str],
        &[],
        &["ws://localhost", "more"],
        &["--ca", "file", "--insecure", "wss://localhost"],
    ] {
        assert!(arguments(given).is_err(), "{given:?}");
    }
}
