//! A cookie's value out of `Cookie` headers (RFC 6265 §4.2), as PHP takes it: of two with the same name the first counts, and
//! the value is percent-encoded text with `+` for a space.
//!
//! It uses nothing of the program's: the fuzz targets take this file as it is.

/// The value of the cookie; `None`: there is none, or it is not UTF-8. `lines`: the values of all `Cookie` headers.
pub(crate) fn value<'a>(lines: impl IntoIterator<Item = &'a [u8]>, name: &str) -> Option<String> {
    let pairs = lines
        .into_iter()
        .flat_map(|line| line.split(|byte| *byte == b';'));
    let values = pairs.filter_map(|pair| {
        let pair = pair.trim_ascii();
        let end = pair.iter().position(|byte| *byte == b'=')?;
        let (found, value) = pair.split_at(end);
        (found == name.as_bytes()).then(|| &value[1..])
    });
    let decoded = decoded(values.into_iter().next()?);
    String::from_utf8(decoded).ok()
}

/// Without its percent-encoding. A `%` that two hexadecimal digits do not follow stands for itself.
fn decoded(value: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value;
    while let [first, more @ ..] = rest {
        rest = more;
        let byte = match (first, more) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    rest = after;
                    high << 4 | low
                }
                _ => b'%',
            },
            (byte, _) => *byte,
        };
        decoded.push(byte);
    }
    decoded
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn the_first_of_the_name_counts_decoded() {
        let lines: [&[u8]; 2] = [
            b"a=1; XS=2;S=3%2C-%zz+ ; S=4",
            b"S=5; T=%ff; U; V=; W=\"x=y\"",
        ];
        for (name, expected) in [
            ("S", Some("3,-%zz ")),
            ("a", Some("1")),
            ("s", None),
            ("T", None),
            ("U", None),
            ("V", Some("")),
            ("W", Some("\"x=y\"")),
        ] {
            assert_eq!(value(lines, name).as_deref(), expected, "{name}");
        }
        assert_eq!(value([], "S"), None);
        assert_eq!(value([&b"S=%"[..]], "S").as_deref(), Some("%"));
        assert_eq!(value([&b"S=%4"[..]], "S").as_deref(), Some("%4"));
    }
}
