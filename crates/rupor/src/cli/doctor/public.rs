//! A test connection by the address that pages have: what a browser would get, and what arrives at rupor.

use super::findings::Findings;
use super::tee::{Kept, Tee};
use super::{Subject, clock, held};
use crate::auth::probe::{PROBE_HEADER, Seen};
use crate::cli::url::{Address, ConnectError as ReachError, Stream};
use rupor_server::{Client, ClientAddress, ConnectError, OpenError, RefusedUpgrade, WebSocket};
use rustls::CertificateError;
use std::net::SocketAddr;

const CHECK: &str = "public address";
const PROXY: &str = "proxy";

type Opened = Result<WebSocket<Tee<Box<dyn Stream>>>, ConnectError>;

/// Opens it where there is an address.
pub(super) async fn check(subject: &Subject<'_>, findings: &mut Findings) {
    let (Some(public), Some(url)) = (&subject.public, &subject.arguments.url) else {
        return;
    };
    let stream = match public.connect(&subject.arguments.tls).await {
        Ok(stream) => stream,
        Err(error) => return unreachable(&error, subject.config.client_address, findings),
    };
    let kept = Kept::default();
    let opened = client(subject)
        .connect_over(url, Tee::new(stream, kept.clone()))
        .await;
    let seen = kept.header(PROBE_HEADER).map(|answer| Seen::read(&answer));
    if let Some(seen) = &seen {
        told(public, seen, subject.config.client_address, findings);
    }
    let opened = opened_or_why(opened, seen.as_ref(), subject, findings);
    if let (Some(socket), Some(time)) = (opened, subject.arguments.idle) {
        held::check(socket, time, subject.config, findings).await;
    }
}

fn client(subject: &Subject<'_>) -> Client {
    let mut client = Client::new();
    if let Some(page) = subject.page() {
        client = client.header("Origin", page);
    }
    let question = subject.probes.as_ref().map(|probes| probes.question());
    match question {
        Some(question) => client.header(PROBE_HEADER, question),
        None => client,
    }
}

fn unreachable(error: &ReachError, source: ClientAddress, findings: &mut Findings) {
    let fix = match error {
        ReachError::Io { error, .. } => match certificate_error(error) {
            Some(CertificateError::UnknownIssuer) => {
                "the proxy or rupor needs the whole chain (fullchain.pem) of a certificate that browsers believe; for an authority of your \
                 own give --ca FILE"
            }
            Some(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => "get a certificate with that name, or let pages connect to a name that it has",
            Some(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
                "renew the certificate, and look whether the proxy has read it again"
            }
            Some(_) => "get a certificate for a server",
            None if source == ClientAddress::ProxyProtocol => {
                "look at the name and the port, whether the proxy and rupor run, and whether the proxy sends a PROXY header first, as \
                 client_address = \"proxy-protocol\" wants (HAProxy: send-proxy-v2)"
            }
            None => {
                "look at the name and the port, at the firewall, and whether the proxy and rupor run"
            }
        },
        ReachError::TimedOut { .. } => "look at the firewall: nobody answered",
        ReachError::BadUrl(_) | ReachError::Authorities(_) => "give the authority with --ca FILE",
    };
    findings.problem(CHECK, error.to_string(), fix);
}

fn certificate_error(error: &std::io::Error) -> Option<&CertificateError> {
    match error.get_ref()?.downcast_ref()? {
        rustls::Error::InvalidCertificate(error) => Some(error),
        _ => None,
    }
}

/// What rupor says about the request.
fn told(public: &Address, seen: &Seen, source: ClientAddress, findings: &mut Findings) {
    if let Some(time) = seen.time() {
        clock::compare("rupor", time, findings);
    }
    let host = seen.field("host").unwrap_or_default();
    if !host.eq_ignore_ascii_case(&public.host_header) {
        let shown = crate::log::peer(host);
        let what = format!(
            "the Host header arrives as {shown} and not as {}: pages of the site itself are refused with 403",
            public.host_header
        );
        let fix = "let the proxy pass it on (nginx: proxy_set_header Host $http_host; Apache: ProxyPreserveHost On)";
        findings.problem(PROXY, what, fix);
    }
    if seen.field("upgrade") == Some("yes") {
        client_told(public, seen, source, findings);
    }
}

/// Whether rupor knows the client.
fn client_told(public: &Address, seen: &Seen, source: ClientAddress, findings: &mut Findings) {
    let Some(client) = seen.client() else { return };
    let scheme = seen.field("scheme").unwrap_or("ws");
    let came = format!("the client is {} for rupor, by {scheme}://", client.ip());
    let (header, other) = match source {
        ClientAddress::XForwardedFor => ("x-forwarded-for", "forwarded"),
        ClientAddress::Forwarded => ("forwarded", "x-forwarded-for"),
        ClientAddress::ProxyProtocol | ClientAddress::Peer => return findings.ok(PROXY, came),
    };
    match (seen.field(header), seen.field(other)) {
        (Some(list), _) if is_in(client, list) => {
            findings.ok(PROXY, format!("{came}: the proxy is believed"));
        }
        (Some(_), _) => {
            let what = format!(
                "{came}: that is the proxy, and what it says about the client is not believed"
            );
            let fix = format!("name the proxy: trusted_proxy = [\"{}\"]", client.ip());
            findings.problem(PROXY, what, &fix);
        }
        (None, Some(_)) => {
            let what = format!(
                "{came}: the proxy says who the client is in {}, which is not looked at",
                other
            );
            let fix = format!(
                "client_address = \"{}\", and name the proxy in trusted_proxy",
                other
            );
            findings.problem(PROXY, what, &fix);
        }
        (None, None) if public.secure && scheme == "ws" => {
            let what = format!("{came}: a proxy does TLS, and does not say who the client is");
            let fix = "let it (nginx: proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for), and name it in trusted_proxy";
            findings.warning(PROXY, what, fix);
        }
        (None, None) => findings.ok(PROXY, came),
    }
}

/// Whether the client's address was taken from the header: it stands there, and with the port that rupor has.
fn is_in(client: SocketAddr, header: &str) -> bool {
    let parts = header.split([',', ';', ' ', '=', '"']);
    let mut addresses = parts.filter(|part| !part.is_empty());
    addresses.any(|part| match part.parse::<SocketAddr>() {
        Ok(address) => address == client,
        Err(_) => {
            let address = part.trim_matches(['[', ']']).parse();
            address.is_ok_and(|address: std::net::IpAddr| {
                address.to_canonical() == client.ip() && client.port() == 0
            })
        }
    })
}

/// The connection, or why there is none.
fn opened_or_why(
    opened: Opened,
    seen: Option<&Seen>,
    subject: &Subject<'_>,
    findings: &mut Findings,
) -> Option<WebSocket<Tee<Box<dyn Stream>>>> {
    match opened {
        Ok(socket) => {
            findings.ok(CHECK, "a WebSocket opens");
            if seen.is_none() && subject.probes.is_some() {
                let what = "whoever answers is not the rupor of this configuration, or has another API key";
                let fix = "look where the proxy leads, and restart rupor after a change of its key";
                findings.warning(CHECK, what, fix);
            }
            return Some(socket);
        }
        Err(ConnectError::Open(OpenError::Refused(refused))) => {
            not_opened(&refused, seen, subject, findings);
        }
        Err(error) => {
            let fix = "look whether the address is a WebSocket's, and at the proxy's log";
            findings.problem(CHECK, error.to_string(), fix);
        }
    }
    None
}

fn not_opened(
    refused: &RefusedUpgrade,
    seen: Option<&Seen>,
    subject: &Subject<'_>,
    findings: &mut Findings,
) {
    let upgrade = seen.and_then(|seen| seen.field("upgrade"));
    if upgrade == Some("no") {
        let what = "the request arrives at rupor without its upgrade: the proxy takes it off";
        let fix = "let it pass: in nginx `proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\";` \
             (docs/howto/nginx.md); in Apache `upgrade=websocket` after the address of `ProxyPass` (docs/howto/apache.md)";
        return findings.problem(PROXY, what, fix);
    }
    let fix = match (refused.status, upgrade) {
        (403, _) => {
            "let pages of that origin connect (option `origin`), and let the proxy pass the Host header on"
        }
        (401, _) if subject.probes.is_none() => {
            let what = "rupor, or what is before it, asks who connects, as it should";
            let fix = "give an api_key, and this tells what arrives at rupor";
            return findings.warning(CHECK, what, fix);
        }
        (401, _) => {
            "is that the rupor of this configuration? Its API key is another one, or its clock"
        }
        (404, None) => "look at the path: the proxy leads it to something else",
        (429 | 503, _) => {
            "rupor is full, ending, or asked too often: look at its log and its limits"
        }
        (502..=504, _) => {
            "the proxy does not reach rupor: is it started, and on the port that the proxy has?"
        }
        (300..=399, _) => {
            "let pages connect to the address that it leads to: browsers do not follow redirects of WebSockets"
        }
        _ => {
            "look at what answers there: it is no rupor, or the proxy does not pass the upgrade on"
        }
    };
    findings.problem(CHECK, refused.to_string(), fix);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn a_connection_that_ends_before_tls_may_lack_its_proxy_header() {
        for (source, named) in [
            (ClientAddress::ProxyProtocol, true),
            (ClientAddress::XForwardedFor, false),
        ] {
            let place = "ws.site.example".to_owned();
            let error = io::ErrorKind::UnexpectedEof.into();
            let mut findings = Findings::default();
            unreachable(&ReachError::Io { place, error }, source, &mut findings);
            let shown = findings.shown(false);
            assert_eq!(shown.contains("send-proxy-v2"), named, "{shown}");
        }
    }

    #[test]
    fn the_client_is_in_the_header_or_not() {
        for (client, header, expected) in [
            ("203.0.113.9:0", "198.51.100.1, 203.0.113.9", true),
            ("203.0.113.9:0", "203.0.113.99", false),
            ("203.0.113.9:5", "203.0.113.9:5", true),
            // A port that the header does not have is the connection's.
            ("127.0.0.1:5000", "127.0.0.1", false),
            ("[2001:db8::9]:0", "for=\"[2001:db8::9]\";proto=https", true),
            ("10.0.0.1:4000", "203.0.113.9", false),
        ] {
            assert_eq!(is_in(client.parse().unwrap(), header), expected, "{header}");
        }
    }
}
