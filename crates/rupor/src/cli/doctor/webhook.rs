//! Whether the server of the webhook can be reached.

use super::Subject;
use super::findings::Findings;
use crate::cli::url::Address;

const CHECK: &str = "webhook";

/// Connects, with TLS where the address says so; calls nothing.
pub(super) async fn check(subject: &Subject<'_>, findings: &mut Findings) {
    for webhook in &subject.config.webhook {
        let url = webhook.url.to_string();
        let reached = match Address::parse(&url, "http", "https://example.org/ws") {
            Ok(address) => address.connect(&subject.arguments.tls).await.map(drop),
            Err(error) => Err(error),
        };
        match reached {
            Ok(()) => findings.ok(CHECK, "its server can be reached"),
            Err(error) => {
                let fix =
                    "look at webhook.url, and whether the site answers there from this machine";
                findings.problem(CHECK, error.to_string(), fix);
            }
        }
    }
}
