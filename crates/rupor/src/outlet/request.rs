//! The request that opened a connection, as handlers are told of it.

use http::HeaderMap;
use rupor_server::UpgradeRequest;
use serde::ser::{Serialize, SerializeSeq as _, Serializer};

/// Its fields.
#[derive(serde::Serialize)]
pub(crate) struct Fields<'a> {
    target: &'a str,
    headers: Headers<'a>,
    remote: String,
    secure: bool,
}

/// An array of pairs: names may come several times, and their order says something.
struct Headers<'a>(&'a HeaderMap);

impl Serialize for Headers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut pairs = serializer.serialize_seq(Some(self.0.len()))?;
        for (name, value) in self.0 {
            // Latin-1, as headers were once defined (RFC 9110 §5.5): every byte has a character.
            let value: String = value.as_bytes().iter().copied().map(char::from).collect();
            pairs.serialize_element(&(name.as_str(), value))?;
        }
        pairs.end()
    }
}

impl<'a> Fields<'a> {
    pub(crate) fn of(request: &'a UpgradeRequest) -> Self {
        Self {
            target: &request.target,
            headers: Headers(&request.headers),
            remote: request.remote.to_string(),
            secure: request.secure,
        }
    }
}

/// Fields of a JSON object, without its braces.
pub(super) fn fields(request: &UpgradeRequest) -> Box<str> {
    // Strings, pairs of strings and a bool can always be written.
    let text = serde_json::to_string(&Fields::of(request)).unwrap_or_default();
    text.trim_start_matches('{').trim_end_matches('}').into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn fields_of_a_request() {
        let mut headers = HeaderMap::new();
        headers.append("host", HeaderValue::from_static("example.org"));
        headers.append(
            "cookie",
            HeaderValue::from_bytes(b"name=J\xfcrgen}").unwrap(),
        );
        headers.append("cookie", HeaderValue::from_static("a=\"1\""));
        let remote = "192.0.2.1:50123".parse().unwrap();
        let request = UpgradeRequest::new("/chat?user=anna}", headers, remote);
        let fields: serde_json::Value =
            serde_json::from_str(&format!("{{{}}}", fields(&request))).unwrap();
        let expected = serde_json::json!({
            "target": "/chat?user=anna}",
            "headers": [["host", "example.org"], ["cookie", "name=Jürgen}"], ["cookie", "a=\"1\""]],
            "remote": "192.0.2.1:50123",
            "secure": false,
        });
        assert_eq!(fields, expected);
    }
}
