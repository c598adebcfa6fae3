//! The certificate of `[tls]`: whether it is of now, for the public name, and believed by browsers.

use super::Subject;
use super::findings::Findings;
use crate::cli::url::{TlsArgs, authorities};
use crate::config::TlsFiles;
use rustls::CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, RootCertStore};
use std::time::Duration;

const CHECK: &str = "certificate";
/// How long before its end a certificate should have been renewed: they are, a third of 90 days before, by any tool.
const RENEWED_BEFORE: Duration = Duration::from_secs(14 * 24 * 3600);

/// Looks at the files. Whether they can be used at all, and belong together, the configuration's check says.
pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings) {
    let Some(files) = &subject.config.tls else {
        return;
    };
    let Some(chain) = chain(files) else { return };
    let Some((own, rest)) = chain.split_first() else {
        return;
    };
    let Ok(parsed) = ParsedCertificate::try_from(own) else {
        let fix = "get a new one: it is not X.509 version 3";
        return findings.problem(CHECK, "the certificate cannot be read", fix);
    };
    names(subject, &parsed, findings);
    match store(&subject.arguments.tls) {
        Ok(authorities) => time_and_issuer(&parsed, rest, &authorities, findings),
        Err(error) => findings.warning(CHECK, error, "give the authority with --ca FILE"),
    }
}

fn chain(files: &TlsFiles) -> Option<Vec<CertificateDer<'static>>> {
    let items = CertificateDer::pem_file_iter(&files.cert).ok()?;
    items.collect::<Result<_, _>>().ok()
}

fn store(tls: &TlsArgs) -> Result<RootCertStore, String> {
    authorities(tls).map_err(|error| error.to_string())
}

fn names(subject: &Subject<'_>, parsed: &ParsedCertificate<'_>, findings: &mut Findings) {
    let Some(public) = subject.public.as_ref().filter(|public| public.secure) else {
        return;
    };
    let host = &public.host;
    let Ok(name) = ServerName::try_from(host.clone()) else {
        let fix = "connect by a name";
        return findings.problem(CHECK, format!("no certificate can be for {host}"), fix);
    };
    match verify_server_name(parsed, &name) {
        Ok(()) => findings.ok(CHECK, format!("it is for {host}")),
        Err(error) => {
            let of = match error {
                Error::InvalidCertificate(CertificateError::NotValidForNameContext {
                    presented,
                    ..
                }) if !presented.is_empty() => format!(", it is for {}", presented.join(", ")),
                _ => String::new(),
            };
            let fix = "get one with that name among its subjectAltNames, or let pages connect to a name that it has";
            findings.problem(CHECK, format!("it is not for {host}{of}"), fix);
        }
    }
}

fn time_and_issuer(
    parsed: &ParsedCertificate<'_>,
    rest: &[CertificateDer<'_>],
    authorities: &RootCertStore,
    findings: &mut Findings,
) {
    let now = UnixTime::now();
    let verify = |time| verify(parsed, rest, authorities, time);
    match verify(now) {
        Ok(()) => {}
        // Somebody else may have the name of the one that signed it.
        Err(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            let what = "nobody whom this system believes vouches for it: browsers would refuse it without a question";
            let fix = "name the file with the whole chain (fullchain.pem); a certificate that was signed by itself does for tests only. \
                 For an authority of your own give --ca FILE";
            findings.problem(CHECK, what, fix);
        }
        Err(error) => {
            let fix = match error {
                Expired | ExpiredContext { .. } => {
                    "renew it, then send rupor SIGHUP, which reads it again"
                }
                NotValidYet | NotValidYetContext { .. } => "look at this machine's clock",
                _ => {
                    "get a certificate for a server; what `openssl req -x509` makes is an authority's, but for \
                     -addext basicConstraints=critical,CA:FALSE"
                }
            };
            let error = Error::InvalidCertificate(error);
            return findings.problem(CHECK, error.to_string(), fix);
        }
    }
    let later = now.as_secs().saturating_add(RENEWED_BEFORE.as_secs());
    let later = UnixTime::since_unix_epoch(Duration::from_secs(later));
    match verify(later) {
        Err(ExpiredContext { not_after, .. }) => {
            let days = not_after.as_secs().saturating_sub(now.as_secs()) / 86_400;
            let fix = "renew it, then send rupor SIGHUP, which reads it again (`systemctl reload rupor` behind the renewal)";
            findings.warning(CHECK, format!("it expires in {days} days"), fix);
        }
        Ok(()) => findings.ok(CHECK, "it is believed, for 14 days and more"),
        Err(_) => {}
    }
}

fn verify(
    parsed: &ParsedCertificate<'_>,
    rest: &[CertificateDer<'_>],
    authorities: &RootCertStore,
    time: UnixTime,
) -> Result<(), CertificateError> {
    let provider = aws_lc_rs::default_provider();
    let algorithms = provider.signature_verification_algorithms.all;
    match verify_server_cert_signed_by_trust_anchor(parsed, authorities, rest, time, algorithms) {
        Err(Error::InvalidCertificate(error)) => Err(error),
        Err(_) => Err(CertificateError::BadEncoding),
        Ok(()) => Ok(()),
    }
}
