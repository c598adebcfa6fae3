//! Whether the servers of webhooks can be reached: of handlers, and of the site that is asked.

use super::Subject;
use super::findings::Findings;
use crate::cause::{NAME_AUTHORITY, is_unknown_issuer};
use crate::cli::url::Address;

const CHECK: &str = "webhook";

/// Connects, with TLS where the address says so; calls nothing.
pub(super) async fn check(subject: &Subject<'_>, findings: &mut Findings) {
    let handlers = subject.config.webhook.iter();
    let handlers = handlers.map(|webhook| ("webhook", &webhook.url));
    let asked = subject.config.auth.webhook.iter();
    let asked = asked.map(|asked| ("auth_webhook", &asked.url));
    for (table, url) in handlers.chain(asked) {
        let url = url.to_string();
        let reached = match Address::parse(&url, "http", "https://example.org/ws") {
            Ok(address) => address.connect(&subject.arguments.tls).await.map(drop),
            Err(error) => Err(error),
        };
        match reached {
            Ok(()) => findings.ok(CHECK, "its server can be reached"),
            Err(error) => {
                let fix = if is_unknown_issuer(&error) {
                    NAME_AUTHORITY.to_owned()
                } else {
                    format!(
                        "look at {table}.url, and whether the site answers there from this machine"
                    )
                };
                findings.problem(CHECK, error.to_string(), &fix);
            }
        }
    }
}
