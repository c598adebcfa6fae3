//! Texts to values: each function takes what one place says and gives the value or the problem with it.

use super::error::{Problem, nearest};
use super::types::InletAddress;
use rupor_server::AddressRange;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Longest text that an error repeats, in characters.
const SHOWN_CHARACTERS_MAX: usize = 60;

/// `text` in quotes, escaped and cut, for an error message.
pub(crate) fn shown(text: &str) -> String {
    let mut cut: String = text.chars().take(SHOWN_CHARACTERS_MAX).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    format!("{cut:?}")
}

/// `127.0.0.1:8000`, `[::1]:8000`, `localhost:8000`.
pub(crate) fn address(text: &str) -> Result<SocketAddr, Problem> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let port = text.strip_prefix("localhost:");
    if let Some(Ok(port)) = port.map(str::parse) {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    Err(Problem::new(
        format!("{} is not an address", shown(text)),
        "write ADDRESS:PORT with a numeric address, for example 127.0.0.1:8000 or [::1]:8000",
    ))
}

/// `tcp://127.0.0.1:1234`, `unix:///run/rupor.sock`.
pub(crate) fn inlet(text: &str) -> Result<InletAddress, Problem> {
    text.parse()
        .map_err(|error: crate::inlet::address::InletAddressError| {
            let what = format!("{} is not an inlet", shown(text));
            Problem::new(what, format!("write it so: {error}"))
        })
}

/// A whole number between `min` and `max`.
pub(crate) fn count(text: &str, min: u64, max: u64) -> Result<u64, Problem> {
    let digits = text.replace('_', "");
    match digits.parse() {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        Ok(_) => Err(Problem::new(
            format!("{text} is out of range"),
            format!("write a number from {min} to {max}"),
        )),
        Err(_) => Err(Problem::new(
            format!("{} is not a whole number", shown(text)),
            format!("write a number from {min} to {max}"),
        )),
    }
}

/// A number of bytes: `65536`, `64KiB`, `16MiB`, `1GiB`.
pub(crate) fn bytes(text: &str, min: u64, max: u64) -> Result<u64, Problem> {
    let units = [
        ("KiB", 1024),
        ("MiB", 1024 * 1024),
        ("GiB", 1024 * 1024 * 1024),
    ];
    let fix = || {
        format!("write a number of bytes from {min} to {max}, such as 65536, 64KiB, 16MiB or 1GiB")
    };
    let (digits, unit) = units
        .iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?.trim_end(), *unit)))
        .unwrap_or((text, 1));
    let Ok(number) = digits.replace('_', "").parse::<u64>() else {
        return Err(Problem::new(
            format!("{} is not a number of bytes", shown(text)),
            fix(),
        ));
    };
    match number.checked_mul(unit) {
        Some(number) if (min..=max).contains(&number) => Ok(number),
        _ => Err(Problem::new(format!("{text} is out of range"), fix())),
    }
}

/// A time: `500ms`, `15s`, `2m`, `1h`.
pub(crate) fn duration(text: &str, min: Duration, max: Duration) -> Result<Duration, Problem> {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
    let (least, most) = (min.as_secs(), max.as_secs());
    let short = if least == 0 { "500ms, " } else { "" };
    let fix = || format!("write a time from {least}s to {most}s, such as {short}15s or 2m");
    let parsed = units.iter().find_map(|(name, unit)| {
        let digits = text.strip_suffix(name)?;
        digits.parse::<u64>().ok()?.checked_mul(*unit)
    });
    match parsed.map(Duration::from_millis) {
        Some(time) if (min..=max).contains(&time) => Ok(time),
        Some(_) => Err(Problem::new(format!("{text} is out of range"), fix())),
        None => Err(Problem::new(
            format!("{} is not a time", shown(text)),
            fix(),
        )),
    }
}

/// `true` or `false`.
pub(crate) fn switch(text: &str) -> Result<bool, Problem> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Problem::new(
            format!("{} is neither true nor false", shown(text)),
            "write true or false",
        )),
    }
}

/// One of a few words. What is nearly one of them is named first.
pub(crate) fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, Problem> {
    let found = choices.iter().find(|(word, _)| *word == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<String> = choices
            .iter()
            .map(|(word, _)| format!("{word:?}"))
            .collect();
        let mut what = format!("{} is none of the choices", shown(text));
        if let Some(meant) = nearest_word(text, choices.iter().map(|(word, _)| *word)) {
            what.push_str(&format!(" (did you mean {meant:?}?)"));
        }
        let mut fix = format!("write one of {}", words.join(", "));
        if text.contains(',') {
            fix.push_str(
                "; where several may be given, repeat the flag, or write a list in the file",
            );
        }
        Problem::new(what, fix)
    })
}

/// The word that was probably meant, with large or small letters alike.
fn nearest_word<'a>(text: &str, words: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let mut same = words.clone();
    same.find(|word| word.eq_ignore_ascii_case(text))
        .or_else(|| nearest(text, words))
}

/// An address or a network: `10.0.0.0/8`, `::1`.
pub(crate) fn network(text: &str) -> Result<AddressRange, Problem> {
    text.parse().map_err(|_| {
        Problem::new(
            format!("{} is not a network", shown(text)),
            "write ADDRESS/PREFIX, for example 10.0.0.0/8 or 192.168.1.5/32",
        )
    })
}

/// An origin as browsers write it: `https://example.org`, `https://example.org:8443`, `null`.
pub(crate) fn origin(text: &str) -> Result<String, Problem> {
    match text.parse::<crate::auth::origin::Origin>() {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(Problem::new(
            format!("{} is not an origin", shown(text)),
            error.to_string(),
        )),
    }
}

/// A subprotocol: an HTTP token (RFC 6455 §4.1, item 10; RFC 9110 §5.6.2).
pub(crate) fn subprotocol(text: &str) -> Result<String, Problem> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !text.is_empty() && text.len() <= 100 && text.bytes().all(token) {
        return Ok(text.to_owned());
    }
    Err(Problem::new(
        format!("{} is not the name of a subprotocol", shown(text)),
        "write letters, digits and -._ only, for example soap",
    ))
}

/// A path rule: `/chat`, `/rooms/*`, `*`.
pub(crate) fn path_rule(text: &str) -> Result<String, Problem> {
    let body = text.strip_suffix('*').unwrap_or(text);
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"*?#".contains(&byte);
    if text == "*" || (body.starts_with('/') && body.bytes().all(plain)) {
        return Ok(text.to_owned());
    }
    Err(Problem::new(
        format!("{} is not a path", shown(text)),
        "write /PATH, or /PATH/* for everything below it, or * for every path",
    ))
}

/// A channel rule: `news`, `room-*`, `inbox-{user}`.
pub(crate) fn channel_rule(text: &str) -> Result<String, Problem> {
    let body = text
        .strip_suffix('*')
        .unwrap_or(text)
        .replacen("{user}", "", 1);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-=@,.;:".contains(&byte);
    if text.ends_with("{user}*") {
        return Err(Problem::new(
            format!(
                "{} would let the user ann into the channels of anna",
                shown(text)
            ),
            "write a character between {user} and *, as in inbox:{user}:*",
        ));
    }
    if !text.is_empty() && text.len() <= 200 && body.bytes().all(plain) {
        return Ok(text.to_owned());
    }
    Err(Problem::new(
        format!("{} is not a channel rule", shown(text)),
        "write a channel's name (letters, digits and _-=@,.;:), with {user} once at most and * at the end only",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(
            address("localhost:80").unwrap(),
            "127.0.0.1:80".parse().unwrap()
        );
        assert_eq!(address("[::1]:0").unwrap().port(), 0);
        for bad in [
            "",
            "8000",
            ":8000",
            "localhost",
            "localhost:99999",
            "example.org:80",
            "1.2.3.4",
        ] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_and_their_edges() {
        assert_eq!(count("1_000", 1, 1000).unwrap(), 1000);
        assert!(count("1001", 1, 1000).is_err());
        assert!(count("0", 1, 1000).is_err());
        assert!(count("-1", 0, 1000).is_err());
        assert_eq!(bytes("16MiB", 0, u64::MAX).unwrap(), 16 << 20);
        assert_eq!(bytes("64 KiB", 0, u64::MAX).unwrap(), 65536);
        assert!(bytes("99999999999999GiB", 0, u64::MAX).is_err());
        assert!(bytes("64kb", 0, u64::MAX).is_err());
        let hour = Duration::from_secs(3600);
        assert_eq!(
            duration("2m", Duration::ZERO, hour).unwrap(),
            Duration::from_secs(120)
        );
        assert_eq!(
            duration("5ms", Duration::ZERO, hour).unwrap(),
            Duration::from_millis(5)
        );
        for bad in ["", "5", "s", "2h", "-1s", "61m", "99999999999999999999s"] {
            assert!(duration(bad, Duration::ZERO, hour).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_slip_in_a_word_is_told_with_the_word_that_was_meant() {
        let choices = [("HS256", 1), ("RS256", 2), ("text", 3), ("subprotocol", 4)];
        let what = |text: &str| choice(text, &choices).unwrap_err().what;
        for (slip, meant) in [
            ("hs256", "HS256"),
            ("HS265", "HS256"),
            ("txt", "text"),
            ("subprotokoll", "subprotocol"),
        ] {
            let expected = format!("{slip:?} is none of the choices (did you mean {meant:?}?)");
            assert_eq!(what(slip), expected);
        }
        assert_eq!(what("colour"), "\"colour\" is none of the choices");
        let fix = choice("HS256,RS256", &choices).unwrap_err().fix;
        assert!(fix.contains("repeat the flag"), "{fix}");
        assert_eq!(choice("text", &choices), Ok(3));
    }

    #[test]
    fn networks() {
        assert!(
            network("10.0.0.0/8")
                .unwrap()
                .contains("10.1.2.3".parse().unwrap())
        );
        assert!(network("::1").is_ok());
        for bad in [
            "",
            "10.0.0.0/33",
            "::/129",
            "10/8",
            "10.0.0.0/",
            "10.0.0.0/-1",
        ] {
            assert!(network(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names() {
        for good in ["null", "https://example.org", "http://[::1]:8000"] {
            assert_eq!(origin(good).unwrap(), good);
        }
        for bad in [
            "",
            "*",
            "example.org",
            "https://",
            "https://a.org/",
            "https://*.a.org",
            "https://u@a.org",
        ] {
            assert!(origin(bad).is_err(), "{bad}");
        }
        for bad in ["", "a b", "a,b", "a\r\nb", "é"] {
            assert!(subprotocol(bad).is_err(), "{bad}");
        }
        for (rule, good) in [
            ("/", true),
            ("*", true),
            ("/a/*", true),
            ("a", false),
            ("/a*b", false),
            ("/?a", false),
        ] {
            assert_eq!(path_rule(rule).is_ok(), good, "{rule}");
        }
        for (rule, good) in [
            ("*", true),
            ("room-{user}-*", true),
            ("a*b", false),
            ("{user}{user}", false),
            ("inbox:{user}:*", true),
            ("inbox:{user}*", false),
            ("", false),
            ("a b", false),
        ] {
            assert_eq!(channel_rule(rule).is_ok(), good, "{rule}");
        }
        assert_eq!(shown(&"й".repeat(100)).chars().count(), 63);
    }
}
