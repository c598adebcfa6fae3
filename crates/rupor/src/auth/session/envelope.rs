//! What Laravel's encrypter makes of a value: base64 of a JSON object with `iv`, `value`, `mac` and `tag`.
//!
//! It uses nothing of the program's: the fuzz targets take this file as it is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;

/// A sealed value. `iv` and `value` are kept as text too: that is what `mac` is of.
pub(crate) struct Envelope {
    pub(crate) iv_text: String,
    pub(crate) value_text: String,
    pub(crate) iv: Vec<u8>,
    pub(crate) value: Vec<u8>,
    /// HMAC-SHA256 in hexadecimal digits; empty where there is a tag.
    pub(crate) mac: Vec<u8>,
    /// Of AES-GCM; empty elsewhere.
    pub(crate) tag: Vec<u8>,
}

#[derive(serde::Deserialize)]
struct Json<'a> {
    #[serde(borrow)]
    iv: Cow<'a, str>,
    #[serde(borrow)]
    value: Cow<'a, str>,
    #[serde(borrow)]
    mac: Cow<'a, str>,
    #[serde(borrow, default)]
    tag: Cow<'a, str>,
}

impl Envelope {
    /// Opens it without a key; `None`: it is none. Its length is for whoever reads it to bound.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let json = STANDARD.decode(text).ok()?;
        let Json {
            iv,
            value,
            mac,
            tag,
        } = serde_json::from_slice(&json).ok()?;
        Some(Self {
            iv: STANDARD.decode(&*iv).ok()?,
            value: STANDARD.decode(&*value).ok()?,
            mac: from_digits(&mac)?,
            tag: STANDARD.decode(&*tag).ok()?,
            iv_text: iv.into_owned(),
            value_text: value.into_owned(),
        })
    }
}

/// The bytes of hexadecimal digits.
pub(crate) fn from_digits(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_has_all_its_parts_in_their_forms() {
        let read = |json: &str| Envelope::read(STANDARD.encode(json).as_bytes());
        let whole = read(r#"{"iv":"AQI=","value":"AwQ=","mac":"0aF0","tag":""}"#).expect("whole");
        assert_eq!((&*whole.iv, &*whole.value), (&[1, 2][..], &[3, 4][..]));
        assert_eq!((&*whole.mac, &*whole.tag), (&[0x0a, 0xf0][..], &[][..]));
        assert_eq!((&*whole.iv_text, &*whole.value_text), ("AQI=", "AwQ="));
        assert!(read(r#"{"iv":"AQI=","value":"AwQ=","mac":""}"#).is_some());
        for bad in [
            "",
            "[]",
            r#"{"iv":"AQI=","value":"AwQ="}"#,
            r#"{"iv":"AQI","value":"AwQ=","mac":""}"#,
            r#"{"iv":"AQI=","value":5,"mac":""}"#,
            r#"{"iv":"AQI=","value":"AwQ=","mac":"0"}"#,
            r#"{"iv":"AQI=","value":"AwQ=","mac":"0g"}"#,
            r#"{"iv":"AQI=","value":"AwQ=","mac":"","tag":"%"}"#,
            r#"{"iv":"AQI=","value":"AwQ=","mac":""} "x""#,
        ] {
            assert!(read(bad).is_none(), "{bad}");
        }
        assert!(Envelope::read(b"%").is_none());
    }
}
