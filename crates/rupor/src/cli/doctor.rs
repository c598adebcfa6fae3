//! `rupor doctor`: what goes wrong in a site's first hour, each with what to do about it.
//!
//! Every check is a file: it looks at the configuration and at what is there, and adds what it found. None changes anything.
//!
//! - `descriptors`, `ports`, `clock`: this machine;
//! - `certificate`, `origins`: what browsers ask for;
//! - `php`, `fpm`, `webhook`, `redis`, `postgres`, `outbox`: what handlers and publications need;
//! - `sessions`: what says who somebody is;
//! - `public`: a test connection by the address that pages have, through whatever is in between; `held` holds it;
//! - `findings`: what was found, for people and programs.
//!
//! Exit codes: 0 nothing that must be changed; 1 problems; 2 wrong arguments.

mod certificate;
mod clock;
mod descriptors;
mod findings;
mod fpm;
mod held;
mod origins;
mod outbox;
mod php;
mod ports;
mod postgres;
mod public;
mod reach;
mod redis;
mod sessions;
mod tee;
mod webhook;

use super::url::{Address, TlsArgs};
use super::{announce, say};
use crate::auth::probe::Probes;
use crate::config::{Config, ConfigError, parse};
use findings::Findings;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Longest time that a test connection is held.
const IDLE_MAX: Duration = Duration::from_secs(3600);

/// What the command says of itself.
pub(crate) const ABOUT: &str = "Looks for what goes wrong in the first hour, and prints what to do about it: open files, ports, the certificate and its \
    names, the clock, origins, PHP, php-fpm, webhooks, Redis, PostgreSQL, the outbox, the site's sessions. Reads the configuration as `rupor serve` would, with the same flags, and changes nothing.\n\n\
    With the public address it also opens a test connection, through every proxy that is in between, and shows what arrives \
    at the rupor that runs: it signs its request with the API's key and is told who the client seems to be, by which scheme and under which name. \
    --idle holds the connection, and finds a time-out that is shorter than the pings' interval.";

/// Arguments of `rupor doctor`, beside the configuration's.
#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {
    /// The public address, as pages have it: wss://example.org/ws/
    url: Option<String>,
    /// The page that connects is of this origin [default: the address's own]
    #[arg(long, value_name = "ORIGIN", requires = "url")]
    page: Option<String>,
    /// Hold the test connection so long, as in 90s
    #[arg(long, value_name = "TIME", requires = "url", value_parser = parse_idle)]
    idle: Option<Duration>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tls: TlsArgs,
}

fn parse_idle(text: &str) -> Result<Duration, String> {
    let time = parse::duration(text, Duration::from_secs(1), IDLE_MAX);
    time.map_err(|problem| format!("{}; {}", problem.what, problem.fix))
}

/// What is examined.
struct Subject<'a> {
    config: &'a Config,
    arguments: &'a DoctorArgs,
    /// The public address taken apart.
    public: Option<Address>,
    /// Makes and recognises questions, where there is a key.
    probes: Option<Probes>,
}

impl Subject<'_> {
    /// The origin of the page that would connect.
    fn page(&self) -> Option<String> {
        let public = self.public.as_ref()?;
        let scheme = if public.secure { "https" } else { "http" };
        let own = || format!("{scheme}://{}", public.host_header);
        Some(self.arguments.page.clone().unwrap_or_else(own))
    }
}

/// Runs the command.
pub(crate) fn run(
    arguments: &DoctorArgs,
    loaded: Result<(Config, Option<PathBuf>), ConfigError>,
) -> ExitCode {
    let public = arguments
        .url
        .as_deref()
        .map(|url| {
            Address::parse(
                url,
                "ws",
                "wss://example.org/ws/; a configuration is named by --config FILE",
            )
        })
        .transpose();
    let public = match public {
        Ok(public) => public,
        Err(error) => return super::refuse(&error),
    };
    let mut findings = Findings::default();
    match loaded {
        Ok((config, file)) => {
            configuration(&config, file, &mut findings);
            let subject = Subject {
                config: &config,
                arguments,
                public,
                probes: config.api_key.as_ref().map(Probes::new),
            };
            if let Err(error) = examine(&subject, &mut findings) {
                say(&format!("rupor: the system refuses: {error}"));
                return ExitCode::FAILURE;
            }
        }
        Err(error) => {
            findings.refused("configuration", &error);
            clock::check(&mut findings);
        }
    }
    announce(&findings.shown(arguments.json));
    findings.exit_code()
}

fn configuration(config: &Config, file: Option<PathBuf>, findings: &mut Findings) {
    let what = file.map_or("the configuration".to_owned(), |file| {
        file.display().to_string()
    });
    match super::start::check(config) {
        Ok(()) => findings.ok("configuration", format!("{what} is right")),
        Err(error) => findings.refused("configuration", &error),
    }
    for warning in super::warnings::of(config) {
        findings.warning("configuration", warning, None);
    }
}

/// Every check, those of this machine first.
fn examine(subject: &Subject<'_>, findings: &mut Findings) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    descriptors::check(subject, findings);
    clock::check(findings);
    certificate::check(subject, findings);
    origins::check(subject, findings);
    runtime.block_on(async {
        ports::check(subject, findings).await;
        php::check(subject, findings).await;
        fpm::check(subject, findings).await;
        webhook::check(subject, findings).await;
        redis::check(subject, findings).await;
        postgres::check(subject, findings).await;
        outbox::check(subject, findings).await;
        sessions::check(subject, findings).await;
        public::check(subject, findings).await;
    });
    // What did not answer in time may still be waited for by a thread.
    runtime.shutdown_background();
    Ok(())
}
