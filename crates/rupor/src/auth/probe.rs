//! Test connections of `rupor doctor`: it asks by the public address, and is answered with what arrived here.
//!
//! Whoever asks shows by a signature that he has the API's key, so nobody else learns what a proxy adds to requests. The key
//! itself does not travel: the address may lead elsewhere. A signature is good for [`GOOD_FOR`], so that one in a log of
//! a proxy's is worth nothing later.

use super::now;
use crate::auth::signer::Signer;
use crate::config::Secret;
use http::{HeaderMap, header};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

/// The header of the question and of the answer.
pub(crate) const PROBE_HEADER: &str = "rupor-probe";
/// How far the clocks of both may be apart.
const GOOD_FOR: Duration = Duration::from_secs(600);
/// Longest value of a header that is repeated in an answer, in bytes.
const REPEATED_BYTES_MAX: usize = 200;
/// Headers of proxies that are repeated.
const FORWARDED: [&str; 4] = [
    "x-forwarded-for",
    "x-forwarded-proto",
    "forwarded",
    "x-real-ip",
];

/// Makes and recognises questions.
#[derive(Debug)]
pub(crate) struct Probes {
    signer: Signer,
}

/// What came with a request, for the answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrived<'a> {
    /// Its headers.
    pub(crate) headers: &'a HeaderMap,
    /// Who it is from, as far as rupor knows.
    pub(crate) client: SocketAddr,
    /// Whether it came over TLS of ours.
    pub(crate) secure: bool,
    /// Whether it was an upgrade.
    pub(crate) upgrade: bool,
}

impl Probes {
    /// By the API's key.
    pub(crate) fn new(api_key: &Secret) -> Self {
        Self {
            signer: Signer::new(api_key),
        }
    }

    /// A question: the seconds since 1970 and their signature.
    pub(crate) fn question(&self) -> String {
        let now = now().as_secs();
        format!("{now}.{}", self.signer.sign(&signed(now)))
    }

    /// What is answered to a question; `None`: it is none, or of somebody without the key.
    pub(crate) fn answer(&self, arrived: Arrived<'_>) -> Option<String> {
        let now = now();
        let question = arrived.headers.get(PROBE_HEADER)?.to_str().ok()?;
        self.is_genuine(question, now).then(|| answer(arrived, now))
    }

    fn is_genuine(&self, question: &str, now: Duration) -> bool {
        let Some((seconds, signature)) = question.split_once('.') else {
            return false;
        };
        let Ok(asked) = seconds.parse::<u64>() else {
            return false;
        };
        let is_good = now.abs_diff(Duration::from_secs(asked)) <= GOOD_FOR;
        is_good && self.signer.verifies(&signed(asked), signature)
    }
}

fn signed(seconds: u64) -> Vec<u8> {
    format!("rupor doctor {seconds}").into_bytes()
}

/// `time=…; upgrade=yes; client=…; scheme=ws; host=…; x-forwarded-for=…`, all on one line.
fn answer(arrived: Arrived<'_>, now: Duration) -> String {
    let upgrade = if arrived.upgrade { "yes" } else { "no" };
    let scheme = if arrived.secure { "wss" } else { "ws" };
    let time = now.as_millis();
    let mut text = format!(
        "time={time}; upgrade={upgrade}; client={}; scheme={scheme}",
        arrived.client
    );
    let host = (header::HOST.as_str(), "host");
    let forwarded = FORWARDED.iter().map(|name| (*name, *name));
    for (name, shown) in std::iter::once(host).chain(forwarded) {
        let lines = arrived.headers.get_all(name).iter();
        let lines: Vec<&str> = lines.filter_map(|line| line.to_str().ok()).collect();
        if !lines.is_empty() {
            // Writing to a text cannot fail.
            let _ = write!(text, "; {shown}={}", repeated(&lines.join(",")));
        }
    }
    text
}

/// A header's value without what would end it here, and cut.
fn repeated(value: &str) -> String {
    let plain = value
        .chars()
        .filter(|letter| matches!(letter, ' '..='~'))
        .map(|letter| if letter == ';' { ' ' } else { letter });
    plain.take(REPEATED_BYTES_MAX).collect()
}

/// What an answer says, read by whoever asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    fields: Vec<(String, String)>,
}

impl Seen {
    /// Reads an answer.
    pub(crate) fn read(answer: &str) -> Self {
        let fields = answer.split("; ").filter_map(|field| field.split_once('='));
        Self {
            fields: fields
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        }
    }

    /// The field of that name.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The time there, since 1970.
    pub(crate) fn time(&self) -> Option<Duration> {
        self.field("time")?.parse().ok().map(Duration::from_millis)
    }

    /// Who the client is there.
    pub(crate) fn client(&self) -> Option<SocketAddr> {
        self.field("client")?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn arrived(headers: &HeaderMap) -> Arrived<'_> {
        Arrived {
            headers,
            client: "203.0.113.9:0".parse().unwrap(),
            secure: false,
            upgrade: true,
        }
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (
                http::HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            )
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn who_has_the_key_is_told_what_arrived() {
        let probes = Probes::new(&Secret::new(*b"key"));
        let question = probes.question();
        let headers = headers(&[
            (PROBE_HEADER, &question),
            ("host", "example.org"),
            ("x-forwarded-for", "1.2.3.4; client=6.6.6.6"),
            ("x-forwarded-for", "203.0.113.9"),
        ]);
        let seen = Seen::read(&probes.answer(arrived(&headers)).unwrap());
        assert_eq!(seen.client(), "203.0.113.9:0".parse().ok());
        assert_eq!(seen.field("upgrade"), Some("yes"));
        assert_eq!(seen.field("scheme"), Some("ws"));
        assert_eq!(seen.field("host"), Some("example.org"));
        let forwarded = seen.field("x-forwarded-for");
        assert_eq!(forwarded, Some("1.2.3.4  client=6.6.6.6,203.0.113.9"));
        assert!(seen.time().unwrap().abs_diff(now()) < GOOD_FOR);
        assert!(!format!("{probes:?}").contains("key"));
    }

    #[test]
    fn nobody_else_is() {
        let probes = Probes::new(&Secret::new(*b"key"));
        let others = Probes::new(&Secret::new(*b"another")).question();
        let own = probes.question();
        let (_, signature) = own.split_once('.').unwrap();
        let later = format!("{}.{signature}", now().as_secs() + 1);
        for question in [&others, &later, "", ".", "1.", "x.y", &own[..own.len() - 1]] {
            let headers = headers(&[(PROBE_HEADER, question)]);
            assert_eq!(probes.answer(arrived(&headers)), None, "{question}");
        }
        assert_eq!(probes.answer(arrived(&HeaderMap::new())), None);
    }

    #[test]
    fn a_signature_is_good_for_a_while() {
        let probes = Probes::new(&Secret::new(*b"key"));
        let question = format!("1000.{}", probes.signer.sign(&signed(1000)));
        for (at, good) in [(1600, true), (1601, false), (400, true), (399, false)] {
            let at = Duration::from_secs(at);
            assert_eq!(probes.is_genuine(&question, at), good, "{at:?}");
        }
    }

    #[test]
    fn a_long_header_is_cut() {
        assert_eq!(repeated(&"a".repeat(300)).len(), REPEATED_BYTES_MAX);
        assert_eq!(repeated("a\u{e9}\tb;c"), "ab c");
    }
}
