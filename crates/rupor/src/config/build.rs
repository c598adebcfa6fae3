//! From texts to the checked [`Config`]: every rule that a value or a combination of values must keep to.

mod applications;
mod auth;
mod channels;

use super::error::{ConfigError, Problem};
use super::source::{Layer, Located, Table, Value};
use super::types::{Auth, Config, LogFormat, Mode, Origins, TlsFiles};
use super::{Secret, deflate, limits, outbox, parse, php, postgres, proxies, redis};
use std::fs::File;
use std::io::Read as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tracing_subscriber::filter::{EnvFilter, LevelFilter};

/// Most worker threads: a connection's id has 8 bits for its worker.
const WORKERS_MAX: u64 = 256;
/// Longest drain.
const DRAIN_MAX: Duration = Duration::from_secs(3600);
/// Largest key file that is read, in bytes.
const KEY_FILE_BYTES_MAX: u64 = 64 * 1024;

/// Builds and checks.
pub(crate) fn config(mode: Mode, layer: &Layer) -> Result<Config, ConfigError> {
    let values = Values::new(layer);
    let mut config = Config {
        mode,
        listen: values.each("listen", parse::address)?,
        inlet: values.each("inlet", parse::inlet)?,
        workers: workers(&values)?,
        tls: tls(&values)?,
        http2: values.optional("tls.http2", parse::switch)?.unwrap_or(true),
        auth: Auth::none(),
        origins: match mode {
            Mode::Demo | Mode::Echo => Origins::Loopback,
            Mode::Serve => Origins::SameHostAnd(values.each("origin", parse::origin)?),
        },
        channels: channels::rules(mode, &values)?,
        explain: values.optional("explain", parse::switch)?.unwrap_or(false),
        applications: Vec::new(),
        php: Vec::new(),
        examples: (mode == Mode::Demo)
            .then(|| php::examples(&values))
            .transpose()?,
        fpm: Vec::new(),
        webhook: Vec::new(),
        redis: redis::redis(&values)?,
        postgres: postgres::postgres(&values)?,
        outbox: outbox::outbox(&values)?,
        subprotocols: values.each("subprotocol", parse::subprotocol)?,
        api_key: api_key(mode, &values)?,
        pages: values.optional("pages", parse::switch)?.unwrap_or(false),
        trusted_proxies: values.each("trusted_proxy", parse::network)?,
        client_address: proxies::client_address(&values)?,
        deflate: deflate::deflate(mode, &values)?,
        drain: values
            .optional("drain", |text| {
                parse::duration(text, Duration::ZERO, DRAIN_MAX)
            })?
            .unwrap_or_default(),
        log: log_filter(&values)?,
        log_format: values
            .optional("log_format", |text| {
                parse::choice(
                    text,
                    &[("text", LogFormat::Text), ("json", LogFormat::Json)],
                )
            })?
            .unwrap_or(LogFormat::Text),
        limits: limits::server(mode, &values)?,
        publish_bytes_max: values.limit("limits.publish_bytes_max")?,
        publish_batch_max: values.limit("limits.publish_batch_max")?,
        inlet_connections_max: values.limit("limits.inlet_connections_max")?,
        hub: hub_limits(&values)?,
        identify_deadline: values
            .limit("limits.identify_deadline_ms")
            .map(milliseconds)?,
    };
    if config.listen.is_empty() {
        return Err(ConfigError::Conflict(Problem::new(
            "there is no address to listen on",
            "give --listen ADDRESS:PORT, or leave the option out for its default",
        )));
    }
    applications::build(&mut config, &values)?;
    // Last, so that a slip in the file is named before what the file lacks.
    if mode == Mode::Serve {
        config.auth = auth::auth(&values, channels::ask_tokens(&config.channels))?;
        channels::check(&values, &config)?;
    }
    if mode == Mode::Demo {
        demo_stays_on_loopback(&values, &config)?;
    }
    Ok(config)
}

fn hub_limits(values: &Values<'_>) -> Result<rupor_hub::Limits, ConfigError> {
    Ok(rupor_hub::Limits {
        channels_max: values.limit("limits.channels_max")?,
        subscriptions_per_connection_max: values
            .limit("limits.subscriptions_per_connection_max")?,
        connections_per_user_max: values.limit("limits.connections_per_user_max")?,
        connections_per_cookie_max: values.limit("limits.connections_per_cookie_max")?,
        cookie_bytes_max: values.limit("limits.cookie_bytes_max")?,
        users_per_publication_max: values.limit("limits.users_per_publication_max")?,
        // How long names may be is between sites and clients (docs/reference), not for one node to say.
        ..rupor_hub::Limits::default()
    })
}

/// Reads values out of a layer.
pub(crate) struct Values<'a> {
    layer: &'a Layer,
}

impl<'a> Values<'a> {
    pub(super) fn new(layer: &'a Layer) -> Self {
        Self { layer }
    }

    /// What is said about an option that has one text.
    pub(super) fn located(&self, key: &str) -> Option<&Located> {
        self.texts(key).first()
    }

    /// What is said about an option that is a list.
    pub(super) fn texts(&self, key: &str) -> &[Located] {
        match self.layer.0.get(key) {
            Some(Value::Texts(texts)) => texts,
            _ => &[],
        }
    }

    /// What is said about an option that consists of tables.
    pub(super) fn tables(&self, key: &str) -> &[Table] {
        match self.layer.0.get(key) {
            Some(Value::Tables(tables)) => tables,
            _ => &[],
        }
    }

    /// An option's value, if anything is said about it.
    pub(super) fn optional<T>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, Problem>,
    ) -> Result<Option<T>, ConfigError> {
        self.located(key)
            .map(|located| located.parse(parse))
            .transpose()
    }

    /// A limit. Every limit has a default, so that one is always found.
    pub(super) fn limit(&self, key: &str) -> Result<usize, ConfigError> {
        let limit = self
            .optional(key, |text| limits::parse(key, text))?
            .unwrap_or(1);
        Ok(usize::try_from(limit).unwrap_or(usize::MAX))
    }

    /// Every item of a list.
    pub(super) fn each<T>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, Problem>,
    ) -> Result<Vec<T>, ConfigError> {
        self.texts(key)
            .iter()
            .map(|located| located.parse(&parse))
            .collect()
    }
}

impl Located {
    /// The value, or what is wrong with the text and where it stood.
    pub(super) fn parse<T>(
        &self,
        parse: impl Fn(&str) -> Result<T, Problem>,
    ) -> Result<T, ConfigError> {
        parse(&self.text).map_err(|problem| problem.at(&self.origin))
    }
}

impl Table {
    /// A field that has one text.
    pub(super) fn field(&self, key: &str) -> Option<&Located> {
        self.fields.get(key)?.first()
    }

    /// A field that must be there.
    pub(super) fn required(&self, key: &str, example: &str) -> Result<&Located, ConfigError> {
        self.field(key).ok_or_else(|| {
            Problem::new(format!("`{key}` is missing"), format!("add {example}")).at(&self.origin)
        })
    }
}

fn milliseconds(count: usize) -> Duration {
    Duration::from_millis(u64::try_from(count).unwrap_or(u64::MAX))
}

fn workers(values: &Values<'_>) -> Result<NonZeroUsize, ConfigError> {
    let given = values.optional("workers", |text| parse::count(text, 1, WORKERS_MAX))?;
    let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let count = given
        .and_then(|count| usize::try_from(count).ok())
        .unwrap_or_else(cores);
    Ok(NonZeroUsize::new(count.min(256)).unwrap_or(NonZeroUsize::MIN))
}

fn tls(values: &Values<'_>) -> Result<Option<TlsFiles>, ConfigError> {
    let missing = |there: &Located, flag: &str| {
        let what = "certificate and key belong together, and the other is missing";
        Err(Problem::new(what, format!("give {flag} FILE too")).at(&there.origin))
    };
    match (values.located("tls.cert"), values.located("tls.key")) {
        (None, None) => Ok(None),
        (Some(cert), None) => missing(cert, "--tls-key"),
        (None, Some(key)) => missing(key, "--tls-cert"),
        (Some(cert), Some(key)) => {
            readable(cert)?;
            readable(key)?;
            Ok(Some(TlsFiles {
                cert: PathBuf::from(&cert.text),
                key: PathBuf::from(&key.text),
            }))
        }
    }
}

fn readable(file: &Located) -> Result<(), ConfigError> {
    read_key_file(file).map(drop)
}

/// Reads a small file that an option names. The error does not show what stands in it.
pub(super) fn read_key_file(file: &Located) -> Result<Vec<u8>, ConfigError> {
    let name = parse::shown(&file.text);
    let mut bytes = Vec::new();
    File::open(Path::new(&file.text))
        .and_then(|opened| opened.take(KEY_FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| {
            Problem::new(
                format!("{name} cannot be read: {error}"),
                "name another file, or make this one readable for the user that runs rupor",
            )
            .at(&file.origin)
        })?;
    if bytes.len() as u64 > KEY_FILE_BYTES_MAX {
        let what = format!("{name} is longer than {KEY_FILE_BYTES_MAX} bytes");
        return Err(
            Problem::new(what, "name the file that holds nothing but the key").at(&file.origin),
        );
    }
    Ok(bytes)
}

/// Cuts one line end off, as editors and `openssl rand` leave it.
pub(super) fn without_line_end(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    bytes
}

fn api_key(mode: Mode, values: &Values<'_>) -> Result<Option<Secret>, ConfigError> {
    if mode != Mode::Serve {
        return Ok(None);
    }
    let (origin, key) = match (values.located("api_key"), values.located("api_key_file")) {
        (None, None) => return Ok(None),
        (Some(key), None) => (&key.origin, key.text.clone().into_bytes()),
        (None, Some(file)) => (&file.origin, without_line_end(read_key_file(file)?)),
        (Some(key), Some(file)) => {
            return Err(ConfigError::Conflict(Problem::new(
                format!(
                    "the API key is given twice: {} and {}",
                    key.origin, file.origin
                ),
                "leave one of them out",
            )));
        }
    };
    crate::auth::key::check_secret(&key).map_err(|error| auth::problem(&error).at(origin))?;
    if !key.iter().all(u8::is_ascii_graphic) {
        return Err(Problem::new(
            "the key has a space, a control character or a letter outside ASCII",
            "make one with `openssl rand -hex 32`",
        )
        .at(origin));
    }
    Ok(Some(Secret::new(key)))
}

fn log_filter(values: &Values<'_>) -> Result<String, ConfigError> {
    let filter = values.optional("log", |text| {
        // `EnvFilter` takes a mistyped level for the name of a part, and the log would be silent but for that part.
        let mut parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let are_levels =
            parts.all(|part| part.contains(['=', ':', '[', ']']) || part.parse::<LevelFilter>().is_ok());
        match EnvFilter::try_new(text) {
            Ok(_) if are_levels => Ok(text.to_owned()),
            _ => Err(Problem::new(
                format!("{} is not a log filter", parse::shown(text)),
                "write error, warn, info, debug or trace, or by part such as info,rupor::inlet=debug",
            )),
        }
    })?;
    Ok(filter.unwrap_or_else(|| "info".to_owned()))
}

/// Demo mode trusts everybody, so nobody but this machine may reach it.
fn demo_stays_on_loopback(values: &Values<'_>, config: &Config) -> Result<(), ConfigError> {
    let listens = config
        .listen
        .iter()
        .map(|address| !address.ip().is_loopback());
    let inlets = config.inlet.iter().map(|inlet| !inlet.is_local());
    let lines = config.php.iter().flat_map(|php| &php.lines);
    let lines = lines.map(|inlet| !inlet.is_local());
    let texts = values.texts("listen").iter().zip(listens);
    let texts = texts.chain(values.texts("inlet").iter().zip(inlets));
    for (located, outside) in texts.chain(values.texts("php.lines").iter().zip(lines)) {
        if outside {
            return Err(Problem::new(
                format!(
                    "{} is not a loopback address, and demo mode trusts everybody",
                    located.text
                ),
                "take 127.0.0.1, or run `rupor serve`, which asks who connects",
            )
            .at(&located.origin));
        }
    }
    Ok(())
}
