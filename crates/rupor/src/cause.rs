//! What an error was caused by, for the log.

use rustls::CertificateError::UnknownIssuer;
use std::error::Error;
use std::io;

/// What helps where nobody who is believed vouches for a server.
pub(crate) const NAME_AUTHORITY: &str =
    "name the file with its authority in SSL_CERT_FILE, in rupor's environment";

/// Everything that an error was caused by, the last cause last; without causes the error itself.
pub(crate) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut told = error.source().unwrap_or(error).to_string();
    let deeper = error.source().and_then(Error::source);
    for cause in std::iter::successors(deeper, |cause| (*cause).source()) {
        let cause = cause.to_string();
        // Some say what they are caused by themselves.
        if !told.ends_with(&cause) {
            told = format!("{told}: {cause}");
        }
    }
    told
}

/// Whether it came to this because nobody who is believed vouches for a server's certificate.
pub(crate) fn is_unknown_issuer(error: &(dyn Error + 'static)) -> bool {
    if let Some(error) = error.downcast_ref() {
        return matches!(error, rustls::Error::InvalidCertificate(UnknownIssuer));
    }
    // What an I/O error is made of is not what it names as its cause.
    let inner = error.downcast_ref().and_then(io::Error::get_ref);
    let below = inner.map_or_else(|| error.source(), |inner| Some(inner));
    below.is_some_and(is_unknown_issuer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::CertificateError::Expired;

    #[test]
    fn an_unknown_issuer_is_found_in_whatever_it_is_wrapped() {
        let error = rustls::Error::InvalidCertificate(UnknownIssuer);
        let error = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, error));
        assert!(is_unknown_issuer(&error));
        let error = io::Error::other(rustls::Error::InvalidCertificate(Expired));
        assert!(!is_unknown_issuer(&error));
        assert!(!is_unknown_issuer(&io::Error::from_raw_os_error(111)));
    }

    #[test]
    fn every_cause_is_told_once() {
        #[derive(Debug)]
        struct Link(&'static str, Option<Box<Link>>);
        impl std::fmt::Display for Link {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.0)
            }
        }
        impl Error for Link {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                self.1.as_deref().map(|link| link as _)
            }
        }
        let link = |text, below: Option<Link>| Link(text, below.map(Box::new));
        let refused = link("connecting: refused", Some(link("refused", None)));
        assert_eq!(
            causes(&link("request", Some(refused))),
            "connecting: refused"
        );
        let refused = link("connecting", Some(link("refused", None)));
        assert_eq!(
            causes(&link("request", Some(refused))),
            "connecting: refused"
        );
        assert_eq!(causes(&link("request", None)), "request");
    }
}
