//! Whether php-fpm can be reached.

use super::Subject;
use super::findings::Findings;
use super::reach;
use crate::config::FpmAddress;

const CHECK: &str = "php-fpm";

/// Looks where the configuration has handlers in php-fpm.
pub(super) async fn check(subject: &Subject<'_>, findings: &mut Findings) {
    for fpm in &subject.config.fpm {
        let (place, reached) = match &fpm.address {
            FpmAddress::Tcp(address) => (address.to_string(), reach::tcp(*address).await),
            FpmAddress::Unix(path) => (path.display().to_string(), reach::unix(path).await),
        };
        match reached {
            Ok(()) => findings.ok(CHECK, format!("it listens on {place}")),
            Err(error) => {
                let fix = reach::fix(&error, "php-fpm");
                findings.problem(CHECK, format!("{place}: {error}"), &fix);
            }
        }
    }
}
