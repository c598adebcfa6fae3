//! The checked configuration, as the rest of the program reads it.

use super::{AuthWebhookConfig, OutboxConfig, PostgresConfig, RedisConfig, Secret, Session};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// Which of the serving commands runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Loopback only, trusts `?user=`, serves the demo pages.
    Demo,
    /// The gateway.
    Serve,
    /// A plain echo server.
    Echo,
}

/// Everything that a serving command needs, checked.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Which command this is for.
    pub(crate) mode: Mode,
    /// Where browsers connect.
    pub(crate) listen: Vec<SocketAddr>,
    /// Where the site writes lines.
    pub(crate) inlet: Vec<InletAddress>,
    /// Worker threads.
    pub(crate) workers: NonZeroUsize,
    /// Certificate and key; `None`: plain `ws://`.
    pub(crate) tls: Option<TlsFiles>,
    /// Whether HTTP/2 is spoken where there is TLS.
    pub(crate) http2: bool,
    /// How a connection proves who it is.
    pub(crate) auth: Auth,
    /// Which pages may connect.
    pub(crate) origins: Origins,
    /// Who may subscribe to and publish in which channel; the first rule that matches decides, none: nobody may.
    pub(crate) channels: Vec<ChannelRule>,
    /// Whether a client that is refused hears which rule refused it.
    pub(crate) explain: bool,
    /// What answers on which path; the longest matching rule decides, none: nothing answers and browsers only listen.
    pub(crate) applications: Vec<ApplicationRule>,
    /// What runs handlers in PHP, by the numbers of [`Application::Php`].
    pub(crate) php: Vec<PhpConfig>,
    /// What runs the examples of demo mode, but for their scripts; `None`: it is another mode.
    pub(crate) examples: Option<PhpConfig>,
    /// What calls handlers in php-fpm, by the numbers of [`Application::Fpm`].
    pub(crate) fpm: Vec<FpmConfig>,
    /// What calls webhooks, by the numbers of [`Application::Webhook`].
    pub(crate) webhook: Vec<WebhookConfig>,
    /// A Redis whose messages are published; `None`: there is none.
    pub(crate) redis: Option<RedisConfig>,
    /// A PostgreSQL whose notifications are published; `None`: there is none.
    pub(crate) postgres: Option<PostgresConfig>,
    /// A table whose rows are published; `None`: there is none.
    pub(crate) outbox: Option<OutboxConfig>,
    /// Subprotocols the gateway may select, by preference, besides `rupor.v1`, which it always speaks.
    pub(crate) subprotocols: Vec<String>,
    /// The HTTP API's bearer key; `None`: the API is off.
    pub(crate) api_key: Option<Secret>,
    /// Whether the start page, the chat and the console are served.
    pub(crate) pages: bool,
    /// Networks of proxies, which have no limits per address.
    pub(crate) trusted_proxies: Vec<rupor_server::AddressRange>,
    /// What such a proxy's client is known by.
    pub(crate) client_address: rupor_server::ClientAddress,
    /// What of compression is agreed to; `None`: nothing.
    pub(crate) deflate: Option<rupor_server::DeflateConfig>,
    /// How long a drain may last before what is left is cut off.
    pub(crate) drain: Duration,
    /// What is logged, as `tracing_subscriber::EnvFilter` reads it.
    pub(crate) log: String,
    /// Form of the log.
    pub(crate) log_format: LogFormat,
    /// The server's limits.
    pub(crate) limits: rupor_server::Limits,
    /// Longest line on an inlet without its line end, and longest HTTP API body, in bytes.
    pub(crate) publish_bytes_max: usize,
    /// Most line-inlet connections open at a time, over all inlets.
    pub(crate) inlet_connections_max: usize,
    /// Most publications in one HTTP API call.
    pub(crate) publish_batch_max: usize,
    /// The hub's limits: users, channels, subscriptions.
    pub(crate) hub: rupor_hub::Limits,
    /// How long a connection may stay unidentified after the 101, when the first message identifies it.
    pub(crate) identify_deadline: Duration,
}

/// Where lines come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InletAddress {
    /// `tcp://127.0.0.1:1234`
    Tcp(SocketAddr),
    /// `unix:///run/rupor.sock`
    Unix(PathBuf),
}

/// Where this machine reaches who listens on this address: one cannot connect to "every address".
pub(crate) fn reachable(listen: IpAddr) -> IpAddr {
    match listen {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    }
}

/// Certificate chain and private key, PEM.
#[derive(Debug, Clone)]
pub(crate) struct TlsFiles {
    /// The chain, leaf first.
    pub(crate) cert: PathBuf,
    /// The key.
    pub(crate) key: PathBuf,
}

/// How a connection proves who it is.
#[derive(Debug, Clone)]
pub(crate) struct Auth {
    /// In their order: the first that finds what it looks for decides.
    pub(crate) ways: Vec<Way>,
    /// The keys of tokens and how they are read: those of identities, and those of channels.
    pub(crate) jwt: Option<Jwt>,
    /// The key of signed addresses.
    pub(crate) signed_url_key: Option<Secret>,
    /// The site's sessions.
    pub(crate) session: Option<Session>,
    /// Where the site is asked: who connections are, and what they may in channels.
    pub(crate) webhook: Option<AuthWebhookConfig>,
}

/// A way to prove who one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Nobody proves anything: `?user=` is believed. Demo mode, and `auth = "none"`.
    None,
    /// A JSON Web Token, by the settings of [`Auth::jwt`].
    Jwt,
    /// An address that the site signed.
    SignedUrl,
    /// The site's session that a cookie names.
    Session,
    /// What the site answers.
    Webhook,
    /// Whoever no way before knew is nobody in particular.
    Guest,
}

impl Way {
    /// All of them, in the order in which they are told.
    pub(crate) const ALL: [Self; 6] = [
        Self::Jwt,
        Self::SignedUrl,
        Self::Session,
        Self::Webhook,
        Self::Guest,
        Self::None,
    ];

    /// What it is called in the configuration, in metrics and in the log.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Jwt => "jwt",
            Self::SignedUrl => "signed",
            Self::Session => "session",
            Self::Webhook => "webhook",
            Self::Guest => "guest",
        }
    }
}

impl Auth {
    /// Nobody proves anything.
    pub(crate) fn none() -> Self {
        Self {
            ways: vec![Way::None],
            jwt: None,
            signed_url_key: None,
            session: None,
            webhook: None,
        }
    }

    /// By tokens only.
    #[cfg(test)]
    pub(crate) fn jwt(jwt: Jwt) -> Self {
        Self {
            ways: vec![Way::Jwt],
            jwt: Some(jwt),
            ..Self::none()
        }
    }
}

/// Settings of JWT identity.
#[derive(Debug, Clone)]
pub(crate) struct Jwt {
    /// The keys; a token is checked against the key of its `kid`, or against the only one.
    pub(crate) keys: Vec<JwtKey>,
    /// Where a token may be found.
    pub(crate) sources: JwtSources,
    /// Name of the query parameter.
    pub(crate) query_parameter: String,
    /// The claim that names the user.
    pub(crate) user_claim: String,
    /// Required `iss`.
    pub(crate) issuer: Option<String>,
    /// Required `aud`.
    pub(crate) audience: Option<String>,
    /// Tolerated difference of clocks for `exp` and `nbf`.
    pub(crate) leeway: Duration,
}

/// Where a token may be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JwtSources {
    /// `?token=…`
    pub(crate) query: bool,
    /// `Sec-WebSocket-Protocol: …, rupor.jwt.TOKEN`
    pub(crate) subprotocol: bool,
    /// The first message.
    pub(crate) first_message: bool,
}

/// A key and the only algorithm that it is used with.
#[derive(Debug, Clone)]
pub(crate) struct JwtKey {
    /// `kid` of the tokens that it verifies.
    pub(crate) id: Option<String>,
    /// The pinned algorithm.
    pub(crate) algorithm: JwtAlgorithm,
    /// HMAC secret, or a PEM public key.
    pub(crate) key: Secret,
}

/// Algorithms of JWT that are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JwtAlgorithm {
    /// HMAC, SHA-256
    Hs256,
    /// HMAC, SHA-384
    Hs384,
    /// HMAC, SHA-512
    Hs512,
    /// RSA PKCS#1 v1.5, SHA-256
    Rs256,
    /// RSA PKCS#1 v1.5, SHA-384
    Rs384,
    /// RSA PKCS#1 v1.5, SHA-512
    Rs512,
    /// RSA PSS, SHA-256
    Ps256,
    /// RSA PSS, SHA-384
    Ps384,
    /// RSA PSS, SHA-512
    Ps512,
    /// ECDSA P-256, SHA-256
    Es256,
    /// ECDSA P-384, SHA-384
    Es384,
    /// Ed25519
    EdDsa,
}

/// Which `Origin` headers are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origins {
    /// Demo: loopback origins of any port, and `null` (a page opened from disk).
    Loopback,
    /// The same host as the request's, and these: `https://example.org`, `https://example.org:8443`, or `null`.
    SameHostAnd(Vec<String>),
}

/// Who may do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// No browser.
    Nobody,
    /// A connection with a user.
    Users,
    /// Whoever shows a token for the channel.
    Token,
    /// Whom the site lets, which is asked.
    Webhook,
    /// Everybody.
    Anyone,
}

/// What becomes of a channel's publications at a connection that reads too slowly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenSlow {
    /// They wait, and the connection is closed when too many do.
    Disconnect,
    /// The newest are left out.
    DropNewest,
    /// The oldest are left out.
    DropOldest,
    /// All but the newest of each key are left out.
    Latest,
}

/// What holds in the channels whose name matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChannelRule {
    /// A channel name; `*` at its end stands for any rest (after `{user}` without the character before `*`), `{user}` for
    /// the connection's own user.
    pub(crate) name: String,
    /// Who may subscribe.
    pub(crate) subscribe: Who,
    /// Who may publish from a browser.
    pub(crate) publish: Who,
    /// What becomes of publications at slow readers.
    pub(crate) slow: WhenSlow,
    /// Where it was written, for whoever is refused by it.
    pub(crate) place: String,
}

/// An application and where it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApplicationRule {
    /// The path; `*` at its end stands for any rest.
    pub(crate) path: String,
    /// What answers.
    pub(crate) application: Application,
    /// Subprotocols that this path offers besides the general list.
    pub(crate) subprotocols: Vec<String>,
}

/// What answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Application {
    /// A chat room.
    Chat,
    /// Every message comes back.
    Echo,
    /// Handlers in PHP processes of ours: which of [`Config::php`].
    Php(usize),
    /// Handlers in php-fpm: which of [`Config::fpm`].
    Fpm(usize),
    /// Handlers behind a webhook: which of [`Config::webhook`].
    Webhook(usize),
}

/// Handlers that are called for each event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallConfig {
    /// The path of the first rule that it answers by: so log and metrics name it.
    pub(crate) pool: String,
    /// Events that are handled at a time.
    pub(crate) at_a_time: NonZeroUsize,
    /// How long an event may take.
    pub(crate) timeout: Duration,
    /// What they are called for.
    pub(crate) events: Vec<CallEvent>,
    /// What a connection hears when its event failed.
    pub(crate) failed_event: FailedEvent,
    /// Events that wait.
    pub(crate) events_max: usize,
    /// Bytes of them.
    pub(crate) bytes_max: usize,
}

/// Handlers in php-fpm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FpmConfig {
    /// The script that is called, by its full path.
    pub(crate) script: PathBuf,
    /// Where php-fpm listens.
    pub(crate) address: FpmAddress,
    /// How it is called; as many at a time as connections.
    pub(crate) calls: CallConfig,
}

/// Handlers behind a webhook.
#[derive(Debug, Clone)]
pub(crate) struct WebhookConfig {
    /// `http` or `https`.
    pub(crate) url: http::Uri,
    /// What calls are signed with.
    pub(crate) key: Secret,
    /// How it is called.
    pub(crate) calls: CallConfig,
}

/// Where php-fpm listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FpmAddress {
    /// `tcp://127.0.0.1:9000`
    Tcp(SocketAddr),
    /// `unix:///run/php/php-fpm.sock`
    Unix(PathBuf),
}

/// What handlers are called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallEvent {
    /// Whether a connection may open.
    Upgrade,
    /// It is open.
    Open,
    /// A message came.
    Message,
    /// It is gone.
    Close,
    /// What they wanted to be done about it was refused.
    Refused,
}

/// The processes that run handlers in PHP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PhpConfig {
    /// The path of the first rule that they answer by: so log and metrics name them.
    pub(crate) pool: String,
    /// The file with the handlers.
    pub(crate) script: PathBuf,
    /// The program that runs it.
    pub(crate) binary: String,
    /// How many processes.
    pub(crate) workers: NonZeroUsize,
    /// What decides which of them a connection goes to.
    pub(crate) key: PhpKey,
    /// Where the site writes lines to the handlers themselves.
    pub(crate) lines: Vec<InletAddress>,
    /// Whether processes are replaced when a file changes.
    pub(crate) watch: bool,
    /// Events after which a process is replaced; 0: never.
    pub(crate) max_jobs: u64,
    /// How long an event may take.
    pub(crate) exec_ttl: Duration,
    /// Bytes of resident memory over which a process is replaced; 0: never.
    pub(crate) max_worker_memory: u64,
    /// What a connection hears when its event failed.
    pub(crate) failed_event: FailedEvent,
    /// Events that wait for one process.
    pub(crate) events_max: usize,
    /// Bytes of them.
    pub(crate) bytes_max: usize,
    /// Handlers that come with the program: their names and texts, of which `script` is one. They are written, and processes
    /// start, when somebody wants to connect.
    pub(crate) files: &'static [(&'static str, &'static str)],
}

/// What decides which process a connection goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PhpKey {
    /// Its number: they are spread evenly.
    Connection,
    /// Its path: those of a path are together.
    Path,
}

/// What a connection hears when its process ended while it was handling its event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailedEvent {
    /// Nothing.
    Ignore,
    /// It is closed with 1011.
    Close,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}
