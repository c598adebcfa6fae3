//! Whether there is a proxy in between, by the environment or as the program says.
//!
//! The variables are those of curl: `https_proxy` or `HTTPS_PROXY` for `wss`, `http_proxy` for `ws`,
//! then `all_proxy` or `ALL_PROXY`; `no_proxy` or `NO_PROXY` names the exceptions. One that is empty
//! is not there. `HTTP_PROXY` is not looked at: in a program that a web server runs by CGI it is what
//! the client's `Proxy` header says (httpoxy, CVE-2016-5385).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use percent_encoding::percent_decode_str;

use super::error::ProxyError;
use super::url::{Address, without_brackets};
use crate::opening::AddressRange;

/// What names a proxy that the program gave.
const GIVEN: &str = "the proxy that was given";

/// How a client finds its proxy.
#[derive(Debug, Clone, Default)]
pub(super) enum ProxyChoice {
    /// By the environment, at each connect anew.
    #[default]
    Environment,
    /// There is none.
    Direct,
    /// This one, for everything.
    Given(ProxyServer),
}

impl ProxyChoice {
    pub(super) fn given(url: &str) -> Result<Self, ProxyError> {
        ProxyServer::parse(GIVEN, url).map(Self::Given)
    }

    /// The proxy for an address, if there is one.
    pub(super) fn of(&self, address: &Address) -> Result<Option<ProxyServer>, ProxyError> {
        match self {
            Self::Environment => by_environment(address, |name| {
                // A value that is no text is no URL either, and that is told.
                std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
            }),
            Self::Direct => Ok(None),
            Self::Given(proxy) => Ok(Some(proxy.clone())),
        }
    }
}

/// A proxy that takes CONNECT requests.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ProxyServer {
    /// Without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// The value of `Proxy-Authorization`.
    pub(super) authorization: Option<String>,
}

impl ProxyServer {
    /// Takes a proxy's URL apart. It may have a user and a password, so no error repeats it.
    fn parse(named_by: &'static str, url: &str) -> Result<Self, ProxyError> {
        let bad = || ProxyError::BadUrl { named_by };
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        if !scheme.eq_ignore_ascii_case("http") {
            let socks = scheme
                .get(..5)
                .is_some_and(|it| it.eq_ignore_ascii_case("socks"));
            return Err(match scheme.to_ascii_lowercase().as_str() {
                "https" => ProxyError::Https { named_by },
                _ if socks => ProxyError::Socks { named_by },
                _ => bad(),
            });
        }
        let uri: Uri = format!("http://{rest}").parse().map_err(|_| bad())?;
        // A password's / or ? that is not percent-encoded would make a host of the user.
        if uri.path_and_query().is_some_and(|rest| rest != "/") || rest.contains('#') {
            return Err(bad());
        }
        let authority = uri.authority().ok_or_else(bad)?.as_str();
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        let place: Uri = place.parse().map_err(|_| bad())?;
        let (host, port) = super::url::host_and_port(&place).map_err(|_| bad())?;
        Ok(Self {
            host: without_brackets(host).to_owned(),
            port: port.unwrap_or(80),
            authorization: user.map(basic),
        })
    }
}

impl fmt::Debug for ProxyServer {
    /// Without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyServer")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// Basic credentials (RFC 7617 §2) of a URL's user and password, percent-encoded there.
fn basic(user_info: &str) -> String {
    let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
    let mut credentials: Vec<u8> = percent_decode_str(user).collect();
    credentials.push(b':');
    credentials.extend(percent_decode_str(password));
    format!("Basic {}", STANDARD.encode(credentials))
}

fn by_environment(
    address: &Address,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<ProxyServer>, ProxyError> {
    let first = |names: &[&'static str]| {
        names.iter().find_map(|name| {
            let value = variable(name).filter(|value| !value.is_empty())?;
            Some((*name, value))
        })
    };
    let names: &[&'static str] = if address.secure {
        &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
    } else {
        &["http_proxy", "all_proxy", "ALL_PROXY"]
    };
    let Some((name, url)) = first(names) else {
        return Ok(None);
    };
    if first(&["no_proxy", "NO_PROXY"]).is_some_and(|(_, list)| is_excepted(address, &list)) {
        return Ok(None);
    }
    ProxyServer::parse(name, &url).map(Some)
}

/// Whether a list of exceptions has the address. Between commas or spaces: `*` for everything, a name
/// for itself and all below it, an IP address or a range of them; behind each a port may narrow it.
fn is_excepted(address: &Address, list: &str) -> bool {
    list.split([',', ' ', '\t'])
        .filter(|entry| !entry.is_empty())
        .any(|entry| entry == "*" || entry_has(entry, address))
}

fn entry_has(entry: &str, address: &Address) -> bool {
    if let Ok(range) = entry.parse::<AddressRange>() {
        return address.ip().is_some_and(|ip| range.contains(ip));
    }
    let (name, port) = match entry.rsplit_once(':') {
        Some((name, digits)) => match digits.parse::<u16>() {
            Ok(port) => (name, Some(port)),
            // A colon that parts no port is in no name that could be asked for.
            Err(_) => (entry, None),
        },
        None => (entry, None),
    };
    if port.is_some_and(|port| port != address.port) {
        return false;
    }
    let name = without_brackets(name);
    match (name.parse::<AddressRange>(), address.ip()) {
        (Ok(range), Some(ip)) => range.contains(ip),
        (Err(_), None) => is_below(&address.host, name),
        _ => false,
    }
}

/// Whether a host is of this name or below it: `example.org`, or `.example.org`, or `*.example.org`.
fn is_below(host: &str, name: &str) -> bool {
    let name = name.strip_prefix('*').unwrap_or(name);
    let name = name.trim_matches('.').to_ascii_lowercase();
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let above = host.strip_suffix(&name);
    !name.is_empty() && above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The proxy for a URL, as `host:port`, with these variables set.
    fn chosen(url: &str, variables: &[(&str, &str)]) -> Result<Option<String>, ProxyError> {
        let address = Address::parse(url).unwrap();
        let proxy = by_environment(&address, |name| {
            let found = variables.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| (*value).to_owned())
        });
        proxy.map(|proxy| proxy.map(|proxy| format!("{}:{}", proxy.host, proxy.port)))
    }

    #[test]
    fn variables_are_those_of_curl() {
        let (ws, wss) = ("ws://a.b/", "wss://a.b/");
        for (url, variables, expected) in [
            (wss, &[] as &[(&str, &str)], None),
            (wss, &[("https_proxy", "http://p:3128")], Some("p:3128")),
            (wss, &[("HTTPS_PROXY", "http://p:3128/")], Some("p:3128")),
            (
                wss,
                &[("https_proxy", "p:1"), ("HTTPS_PROXY", "q:1")],
                Some("p:1"),
            ),
            (
                wss,
                &[("https_proxy", ""), ("HTTPS_PROXY", "q:1")],
                Some("q:1"),
            ),
            (wss, &[("http_proxy", "p:1")], None),
            (wss, &[("https_proxy", "HTTP://p")], Some("p:80")),
            (
                wss,
                &[("https_proxy", "http://[::1]:8080")],
                Some("::1:8080"),
            ),
            (wss, &[("https_proxy", "http://u:p@p:1")], Some("p:1")),
            (wss, &[("all_proxy", "p:1")], Some("p:1")),
            (
                wss,
                &[("ALL_PROXY", "p:1"), ("https_proxy", "q:1")],
                Some("q:1"),
            ),
            (ws, &[("http_proxy", "p:1")], Some("p:1")),
            // A client's header could set it where CGI is.
            (ws, &[("HTTP_PROXY", "p:1")], None),
            (ws, &[("https_proxy", "p:1")], None),
            (ws, &[("all_proxy", "p:1")], Some("p:1")),
            (ws, &[("ALL_PROXY", "p:1")], Some("p:1")),
            (ws, &[("http_proxy", "p:1"), ("no_proxy", "a.b")], None),
            (ws, &[("http_proxy", "p:1"), ("NO_PROXY", "a.b")], None),
            (
                ws,
                &[("http_proxy", "p:1"), ("no_proxy", ""), ("NO_PROXY", "a.b")],
                None,
            ),
            (
                ws,
                &[
                    ("http_proxy", "p:1"),
                    ("no_proxy", "c"),
                    ("NO_PROXY", "a.b"),
                ],
                Some("p:1"),
            ),
        ] {
            let found = chosen(url, variables).unwrap();
            assert_eq!(found.as_deref(), expected, "{url} {variables:?}");
        }
    }

    #[test]
    fn exceptions_are_names_addresses_and_ranges() {
        for (url, list, excepted) in [
            ("ws://a.b/", "*", true),
            ("ws://a.b/", "c, *", true),
            ("ws://a.b/", "a.b", true),
            ("ws://a.b/", " c  a.b\t", true),
            ("ws://a.b/", "c,a.b,d", true),
            ("ws://A.B/", "a.b", true),
            ("ws://a.b/", "A.B", true),
            ("ws://a.b./", "a.b", true),
            ("ws://a.b/", "a.b.", true),
            ("ws://x.a.b/", "a.b", true),
            ("ws://x.a.b/", ".a.b", true),
            ("ws://x.a.b/", "*.a.b", true),
            ("ws://a.b/", ".a.b", true),
            ("ws://a.b/", "b", true),
            ("ws://xa.b/", "a.b", false),
            ("ws://a.b.c/", "a.b", false),
            ("ws://a.b/", "x.a.b", false),
            ("ws://a.b/", "", false),
            ("ws://a.b/", ",., ,*.", false),
            ("ws://a.b/", "a.b:80", true),
            ("ws://a.b/", "a.b:81", false),
            ("ws://a.b:81/", "a.b:81", true),
            ("ws://x.a.b:81/", ".a.b:81", true),
            ("ws://a.b/", "a.b:x", false),
            ("ws://192.0.2.7/", "192.0.2.7", true),
            ("ws://192.0.2.7/", "192.0.2.8", false),
            ("ws://192.0.2.7/", "192.0.2.0/24", true),
            ("ws://192.0.3.7/", "192.0.2.0/24", false),
            ("ws://192.0.2.7:81/", "192.0.2.7:81", true),
            ("ws://192.0.2.7:81/", "192.0.2.7:82", false),
            // Digits are not a name below "7".
            ("ws://192.0.2.7/", "7", false),
            ("ws://192.0.2.7/", "2.7", false),
            ("ws://[2001:db8::1]/", "2001:db8::1", true),
            ("ws://[2001:db8::1]/", "[2001:db8::1]", true),
            ("ws://[2001:db8::1]:81/", "[2001:db8::1]:81", true),
            ("ws://[2001:db8::1]:81/", "[2001:db8::1]:82", false),
            ("ws://[2001:db8::1]/", "2001:db8::/32", true),
            ("ws://[2001:db9::1]/", "2001:db8::/32", false),
            ("ws://[::ffff:192.0.2.7]/", "192.0.2.0/24", true),
            // A name is not looked up for this.
            ("ws://localhost/", "127.0.0.0/8", false),
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!(is_excepted(&address, list), excepted, "{url} {list:?}");
        }
    }

    #[test]
    fn proxy_that_cannot_be_used_is_an_error_that_names_its_variable() {
        for (url, expected) in [
            ("socks5://u:secret@p:1080", "all_proxy"),
            ("SOCKS5H://u:secret@p", "SOCKS"),
            ("socks4://p", "SOCKS"),
            ("https://u:secret@p:443", "over TLS"),
            ("ftp://u:secret@p", "no URL of a proxy"),
            ("http://u:secret@", "no URL of a proxy"),
            ("http://u:secret@p:x", "no URL of a proxy"),
            ("http://u:secret@:80", "no URL of a proxy"),
            ("http://u:sec ret@p", "no URL of a proxy"),
            ("http://u:12/secret@p", "no URL of a proxy"),
            ("http://u:12?secret@p", "no URL of a proxy"),
            ("http://u:12#secret@p", "no URL of a proxy"),
        ] {
            let error = chosen("wss://a.b/", &[("all_proxy", url)]).unwrap_err();
            let told = format!("{error} {error:?}");
            assert!(told.contains(expected), "{url}: {told}");
            assert!(told.contains("all_proxy"), "{url}: {told}");
            assert!(!told.contains("secret"), "{url}: {told}");
        }
        // Who is excepted does not need it.
        let variables = [("all_proxy", "socks5://p"), ("no_proxy", "a.b")];
        assert_eq!(chosen("wss://a.b/", &variables).unwrap(), None);
    }

    #[test]
    fn credentials_are_decoded_and_never_shown() {
        for (url, expected) in [
            (
                "http://Aladdin:open%20sesame@p",
                Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ),
            (
                "Aladdin:open%20sesame@p:1",
                Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ),
            ("http://u:%40%3A@p", Some("Basic dTpAOg==")),
            ("http://u@p", Some("Basic dTo=")),
            ("http://u:a:b@p", Some("Basic dTphOmI=")),
            ("http://p", None),
        ] {
            let proxy = ProxyServer::parse(GIVEN, url).unwrap();
            assert_eq!(proxy.authorization.as_deref(), expected, "{url}");
            assert_eq!(proxy.host, "p");
            let shown = format!("{proxy:?} {:?}", ProxyChoice::Given(proxy.clone()));
            assert!(
                !shown.contains("Basic") && !shown.contains("sesame"),
                "{shown}"
            );
        }
    }
}
