//! Whether the pages that should connect may, and whether others may not.

use super::Subject;
use super::findings::Findings;
use crate::auth::origin::{Origin, Origins};
use crate::config;
use http::{HeaderMap, HeaderValue, header};

const CHECK: &str = "origin";

/// Looks at the list, and at the page of the public address against it.
pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings) {
    let config::Origins::SameHostAnd(list) = &subject.config.origins else {
        return;
    };
    for origin in list {
        if matches!(origin.parse(), Ok(Origin::Null | Origin::File)) {
            let what = format!(
                "{origin} is in the list: a page of any site can have that origin, in a frame"
            );
            let fix = "take it out of `origin`, unless pages from disk are all that you serve";
            findings.warning(CHECK, what, fix);
        }
    }
    let Some((page, public)) = subject.page().zip(subject.public.as_ref()) else {
        let what = match list.len() {
            0 => "only pages of the host that they connect to may connect".to_owned(),
            _ => format!(
                "pages of the host that they connect to, and of {}",
                list.join(", ")
            ),
        };
        return findings.ok(CHECK, what);
    };
    if page.starts_with("https:") && !public.secure && !is_local(&public.host) {
        let what = format!("a page of {page} may not open ws://: browsers refuse it");
        let fix = "let pages connect to wss://: give rupor a certificate, or put it behind a proxy that has one";
        findings.problem(CHECK, what, fix);
    }
    if is_allowed(subject, &page, &public.host_header) {
        findings.ok(
            CHECK,
            format!("pages of {page} may connect to {}", public.host_header),
        );
    } else {
        let what = format!(
            "pages of {page} may not connect to {}: they are answered 403",
            public.host_header
        );
        let fix = format!("add it: origin = [\"{page}\"]");
        findings.problem(CHECK, what, &fix);
    }
}

fn is_local(host: &str) -> bool {
    let address: Result<std::net::IpAddr, _> = host.parse();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn is_allowed(subject: &Subject<'_>, page: &str, host: &str) -> bool {
    let (Ok(origins), Ok(page), Ok(host)) = (
        Origins::new(&subject.config.origins),
        HeaderValue::from_str(page),
        HeaderValue::from_str(host),
    ) else {
        return false;
    };
    let headers = HeaderMap::from_iter([(header::ORIGIN, page), (header::HOST, host)]);
    origins
        .check(&headers, subject.config.tls.is_some())
        .is_ok()
}
