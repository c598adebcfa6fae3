//! The URL of a WebSocket (RFC 6455 §3), taken apart.

use std::net::IpAddr;

use http::Uri;

use super::error::UrlError;

/// Where a WebSocket is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// Whether TLS is spoken.
    pub(super) secure: bool,
    /// The host's name or IP address, without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// As the `Host` header has it: without the scheme's own port.
    pub(super) host_header: String,
    /// Path and query.
    pub(super) target: String,
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, UrlError> {
        // RFC 6455 §3 knows no fragments: what stands behind a # was meant for a browser, or was
        // to be sent and would silently not be.
        if url.contains('#') {
            return Err(UrlError::Fragment);
        }
        if !url.is_ascii() {
            return Err(UrlError::NotAscii);
        }
        let uri: Uri = url.parse().map_err(|_| UrlError::Malformed)?;
        let secure = match uri.scheme_str().map(str::to_ascii_lowercase).as_deref() {
            Some("wss") => true,
            Some("ws") => false,
            _ => return Err(UrlError::Scheme),
        };
        let (host, port) = host_and_port(&uri)?;
        let own_port = if secure { 443 } else { 80 };
        let port = port.unwrap_or(own_port);
        let host_header = if port == own_port {
            host.to_owned()
        } else {
            format!("{host}:{port}")
        };
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self {
            secure,
            host: without_brackets(host).to_owned(),
            port,
            host_header,
            target: format!("{slash}{target}"),
        })
    }

    /// The host and the port, as a CONNECT request has them.
    pub(super) fn authority(&self) -> String {
        if self.ip().is_some_and(|ip| ip.is_ipv6()) {
            return format!("[{}]:{}", self.host, self.port);
        }
        format!("{}:{}", self.host, self.port)
    }

    /// The host, if it is an IP address.
    pub(super) fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

/// The host, in brackets if it came so, and the port, if there is one. No user may be there.
pub(super) fn host_and_port(uri: &Uri) -> Result<(&str, Option<u16>), UrlError> {
    let authority = uri.authority().ok_or(UrlError::Malformed)?;
    if authority.as_str().contains('@') {
        return Err(UrlError::UserInfo);
    }
    let (host, port) = (authority.host(), authority.port_u16());
    // A colon with nothing or no number behind it.
    if host.is_empty() || (port.is_none() && authority.as_str() != host) {
        return Err(UrlError::Malformed);
    }
    Ok((host, port))
}

pub(super) fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        for (url, secure, host, port, header, target) in [
            (
                "ws://a.b:8000/?user=a",
                false,
                "a.b",
                8000,
                "a.b:8000",
                "/?user=a",
            ),
            ("ws://a.b", false, "a.b", 80, "a.b", "/"),
            ("wss://a.b/c/d?e=f", true, "a.b", 443, "a.b", "/c/d?e=f"),
            ("wss://a.b:443", true, "a.b", 443, "a.b", "/"),
            ("ws://a.b:443", false, "a.b", 443, "a.b:443", "/"),
            ("ws://[::1]:8000/x", false, "::1", 8000, "[::1]:8000", "/x"),
            (
                "wss://[2001:db8::1]",
                true,
                "2001:db8::1",
                443,
                "[2001:db8::1]",
                "/",
            ),
            ("ws://a?user=b", false, "a", 80, "a", "/?user=b"),
            ("WSS://a/", true, "a", 443, "a", "/"),
        ] {
            let expected = Address {
                secure,
                host: host.to_owned(),
                port,
                host_header: header.to_owned(),
                target: target.to_owned(),
            };
            assert_eq!(Address::parse(url), Ok(expected), "{url}");
        }
    }

    #[test]
    fn what_is_no_url_of_a_websocket_is_refused() {
        for (url, error) in [
            ("", UrlError::Malformed),
            ("a:8000", UrlError::Scheme),
            ("/path", UrlError::Scheme),
            ("http://a", UrlError::Scheme),
            ("wsx://a", UrlError::Scheme),
            ("ws://", UrlError::Malformed),
            ("ws://:80", UrlError::Malformed),
            ("ws://a:", UrlError::Malformed),
            ("ws://a:99999", UrlError::Malformed),
            ("ws://a b", UrlError::Malformed),
            ("ws://a/ b", UrlError::Malformed),
            ("ws://a/\r\nb", UrlError::Malformed),
            ("ws://user:password@a", UrlError::UserInfo),
            ("ws://a/#b", UrlError::Fragment),
            ("ws://пример.example/", UrlError::NotAscii),
            ("ws://a/ü", UrlError::NotAscii),
        ] {
            assert_eq!(Address::parse(url), Err(error), "{url}");
        }
    }

    #[test]
    fn addresses_of_version_6_are_in_brackets_for_a_proxy() {
        for (url, authority) in [
            ("ws://[::1]:8000/", "[::1]:8000"),
            ("wss://a.b/", "a.b:443"),
            ("ws://127.0.0.1/", "127.0.0.1:80"),
        ] {
            assert_eq!(Address::parse(url).unwrap().authority(), authority);
        }
    }
}
