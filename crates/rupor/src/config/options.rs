//! Every option. The command line, the file reader and the reference pages are all made from [`OPTIONS`],
//! [`deflate`](super::deflate), [`php`](super::php), [`calls`](super::calls), [`redis`](super::redis), [`postgres`](super::postgres),
//! [`outbox`](super::outbox), [`signed_url`](super::signed_url), [`session`](super::session),
//! [`auth_webhook`](super::auth_webhook) and [`limits`](super::limits).

use super::definition::{Default, Definition, EVERY, Field, GATEWAY, SERVE, Shape};

/// Every option but the limits, in the order of the reference.
pub(crate) fn general() -> impl Iterator<Item = &'static Definition> {
    OPTIONS
        .iter()
        .chain(super::php::definitions())
        .chain(super::calls::definitions())
        .chain(super::redis::definitions())
        .chain(super::postgres::definitions())
        .chain(super::outbox::definitions())
        .chain(super::signed_url::definitions())
        .chain(super::proxies::definitions())
        .chain(super::session::definitions())
        .chain(super::auth_webhook::definitions())
        .chain(super::deflate::definitions())
}

/// Every option.
pub(crate) fn all() -> impl Iterator<Item = &'static Definition> {
    general().chain(super::limits::definitions())
}

const ADDRESSES: &str = "Addresses and workers";
const IDENTITY: &str = "Who a connection is";
const BROWSERS: &str = "What browsers may do";
const API: &str = "HTTP API";
/// Heading of the limits.
pub(crate) const LIMITS: &str = "Limits";
const RUNNING: &str = "Running";

const JWT_FIELDS: &[Field] = &[
    Field {
        key: "algorithm",
        shape: Shape::Text,
        help: "the only algorithm the key is used with: HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA",
    },
    Field {
        key: "key_file",
        shape: Shape::Text,
        help: "file with the HMAC secret (32 bytes or more; one line end at its end is left out) or the PEM public key",
    },
    Field {
        key: "key",
        shape: Shape::Secret,
        help: "the same in place; not taken from a flag, because other users can read a command line",
    },
    Field {
        key: "id",
        shape: Shape::Text,
        help: "`kid` of the tokens that it verifies; needed when there are several keys",
    },
];

const CHANNEL_FIELDS: &[Field] = &[
    Field {
        key: "name",
        shape: Shape::Text,
        help: "a channel's name; `*` at its end stands for any rest, `{user}` for the connection's own user. After `{user}` the rest does not hold the character before `*`: by `inbox:{user}:*` the channel `inbox:a:b:c` is of the user `a:b` and not of `a`. For another user's channel the rule does not match, and a later one may. Where rules with `{user}` give a channel to several users, it is of the one whose rule names more of it: by `inbox:{user}` and `inbox:{user}:*` the channel `inbox:a:b` is of `a`, and nobody comes into it who calls himself `a:b`",
    },
    Field {
        key: "subscribe",
        shape: Shape::Text,
        help: "who may subscribe: `anyone`, `users` (a connection with a user), `token` (who shows a token for the channel that a `[[jwt]]` key signed: docs/reference/rupor-v1.md), `webhook` (whom the site lets, which `[auth_webhook]` asks) or `nobody` (default)",
    },
    Field {
        key: "publish",
        shape: Shape::Text,
        help: "who may publish from a browser: `anyone`, `users`, `token`, `webhook` or `nobody` (default)",
    },
    Field {
        key: "slow",
        shape: Shape::Text,
        help: "what becomes of publications at a connection that reads too slowly, over `limits.backlog_soft_bytes`: `disconnect` (default; it is closed with 3008 at `limits.backlog_bytes_max`), `drop-newest`, `drop-oldest`, or `latest`: of what waits only the newest of each `key` stays. Here `{user}` stands for any user",
    },
];

const APPLICATION_FIELDS: &[Field] = &[
    Field {
        key: "path",
        shape: Shape::Text,
        help: "`/PATH`, or `/PATH/*` for everything below it, or `*`; the longest that matches decides",
    },
    Field {
        key: "name",
        shape: Shape::Text,
        help: "what answers there: `chat`, `echo`, or the handlers: `php` (those of `php.script`), `fpm` (of `fpm.script`) or `webhook`",
    },
    Field {
        key: "script",
        shape: Shape::Text,
        help: "handlers of its own on this path, with `php` or `fpm`: like `workers`, `key`, `lines`, `address`, `url` and `events` here, it \
               stands for the option of that name in `[php]`, `[fpm]` or `[webhook]`. A rule with any of them has processes or calls of its \
               own, with the table's other options",
    },
    Field {
        key: "workers",
        shape: Shape::Number,
        help: "with `php`: processes of its own; `num_workers` says the same",
    },
    Field {
        key: "key",
        shape: Shape::Text,
        help: "with `php`: `connection` or `path`",
    },
    Field {
        key: "lines",
        shape: Shape::List,
        help: "with `php`: where the site writes lines to these handlers",
    },
    Field {
        key: "address",
        shape: Shape::Text,
        help: "with `fpm`: where php-fpm listens",
    },
    Field {
        key: "url",
        shape: Shape::Text,
        help: "with `webhook`: what is called",
    },
    Field {
        key: "events",
        shape: Shape::List,
        help: "with `fpm` or `webhook`: what the handlers are called for",
    },
    Field {
        key: "subprotocol",
        shape: Shape::List,
        help: "subprotocols that this path offers, before the general ones",
    },
];

static OPTIONS: &[Definition] = &[
    Definition {
        key: "listen",
        shape: Shape::List,
        form: "ADDRESS:PORT",
        default: Default::PerMode("127.0.0.1:8000", "127.0.0.1:8000", "127.0.0.1:9001"),
        modes: EVERY,
        section: ADDRESSES,
        help: "Where browsers connect, and the HTTP API. Port 0 takes a free one. Repeatable. `demo` takes loopback \
               addresses only",
        example: "",
    },
    Definition {
        key: "inlet",
        shape: Shape::List,
        form: "tcp://ADDRESS:PORT|unix://PATH",
        default: Default::PerMode("tcp://127.0.0.1:1234", "tcp://127.0.0.1:1234", ""),
        modes: EVERY,
        section: ADDRESSES,
        help: "Where the site writes lines, one JSON object each. There is no password on it: whoever reaches it \
               publishes, so keep it on loopback or on a Unix socket (created with mode 0660). Repeatable. `echo` takes \
               the flag, so that scripts can pass the same ones, and opens nothing: it has nobody to send to",
        example: "",
    },
    Definition {
        key: "workers",
        shape: Shape::Number,
        form: "N",
        default: Default::Explained("one per core"),
        modes: EVERY,
        section: ADDRESSES,
        help: "Worker threads, from 1 to 256. A connection stays with one of them for life",
        example: "workers = 4",
    },
    Definition {
        key: "tls.cert",
        shape: Shape::Text,
        form: "FILE",
        default: Default::Explained("no TLS: ws:// and http://"),
        modes: EVERY,
        section: ADDRESSES,
        help: "Certificate chain, PEM, leaf first: browsers then use wss://. Read again on SIGHUP; a bad pair keeps the old",
        example: "cert = \"/etc/rupor/cert.pem\"",
    },
    Definition {
        key: "tls.key",
        shape: Shape::Text,
        form: "FILE",
        default: Default::Explained("no TLS"),
        modes: EVERY,
        section: ADDRESSES,
        help: "The certificate's private key, PEM",
        example: "key = \"/etc/rupor/key.pem\"",
    },
    Definition {
        key: "tls.http2",
        shape: Shape::Switch,
        form: "true|false",
        default: Default::Value("true"),
        modes: EVERY,
        section: ADDRESSES,
        help: "Whether browsers may speak HTTP/2 where there is TLS: a page, its API calls and its WebSockets (RFC 8441) then share one connection",
        example: "",
    },
    Definition {
        key: "auth",
        shape: Shape::List,
        form: "jwt|signed|session|webhook|guest|none",
        default: Default::Explained(
            "`jwt` when there is a [[jwt]] key; without one rupor does not start",
        ),
        modes: SERVE,
        section: IDENTITY,
        help: "How a connection proves who it is. `jwt`: by a token that your site signed. `signed`: by an address that it signed, `?user=…&expires=…&signature=…`. \
               `session`: by the session that the site's own cookie names. `webhook`: by asking the site. Of \
               several the first that finds what it looks for decides, and the others are not asked. `guest`, as the last: whom no other way knew is nobody in particular. `none`: not at all, \
               `?user=NAME` is believed, so anybody can be anybody. Repeatable",
        example: "auth = [\"jwt\"]",
    },
    Definition {
        key: "jwt",
        shape: Shape::Tables(JWT_FIELDS),
        form: "algorithm=HS256,key_file=FILE",
        default: Default::Explained("no key"),
        modes: SERVE,
        section: IDENTITY,
        help: "A key that tokens are verified with. `exp` is required in every token. Repeatable",
        example: "[[jwt]]\nalgorithm = \"HS256\"\nkey_file = \"/etc/rupor/jwt.key\"",
    },
    Definition {
        key: "token.from",
        shape: Shape::List,
        form: "query|subprotocol|message",
        default: Default::Value("query subprotocol message"),
        modes: SERVE,
        section: IDENTITY,
        help: "Where a token may stand: in the query, in the offered subprotocols, or in the first message. A query is \
               easily written into somebody's log: prefer the other two. Repeatable",
        example: "",
    },
    Definition {
        key: "token.query_parameter",
        shape: Shape::Text,
        form: "NAME",
        default: Default::Value("token"),
        modes: SERVE,
        section: IDENTITY,
        help: "The query's parameter that carries the token",
        example: "",
    },
    Definition {
        key: "token.user_claim",
        shape: Shape::Text,
        form: "NAME",
        default: Default::Value("sub"),
        modes: SERVE,
        section: IDENTITY,
        help: "The claim that names the user",
        example: "",
    },
    Definition {
        key: "token.issuer",
        shape: Shape::Text,
        form: "TEXT",
        default: Default::Explained("not checked"),
        modes: SERVE,
        section: IDENTITY,
        help: "The `iss` that every token must have",
        example: "issuer = \"https://example.org\"",
    },
    Definition {
        key: "token.audience",
        shape: Shape::Text,
        form: "TEXT",
        default: Default::Explained("not checked"),
        modes: SERVE,
        section: IDENTITY,
        help: "The `aud` that every token must have",
        example: "audience = \"rupor\"",
    },
    Definition {
        key: "token.leeway",
        shape: Shape::Text,
        form: "TIME",
        default: Default::Value("30s"),
        modes: SERVE,
        section: IDENTITY,
        help: "How far the clocks of site and server may differ when `exp` and `nbf` are checked",
        example: "",
    },
    Definition {
        key: "origin",
        shape: Shape::List,
        form: "SCHEME://HOST",
        default: Default::Explained("pages of the same host only"),
        modes: SERVE,
        section: BROWSERS,
        help: "A page's origin that may connect besides the same host: scheme, host and port must all match. `null` must \
               be listed to be taken. Repeatable",
        example: "origin = [\"https://example.org\"]",
    },
    Definition {
        key: "channel",
        shape: Shape::Tables(CHANNEL_FIELDS),
        form: "name=NAME,subscribe=WHO,publish=WHO,slow=POLICY",
        default: Default::Explained(
            "nobody subscribes by himself; in demo mode anyone may do both in every channel",
        ),
        modes: SERVE,
        section: BROWSERS,
        help: "Rights of browsers in the channels of that name, and what becomes of publications at slow readers. The first rule \
               that matches decides. Repeatable",
        example: "[[channel]]\nname = \"news\"\nsubscribe = \"anyone\"",
    },
    Definition {
        key: "explain",
        shape: Shape::Switch,
        form: "true|false",
        default: Default::PerMode("true", "false", ""),
        modes: GATEWAY,
        section: BROWSERS,
        help: "Whether a client that is refused is told which rule refused it, and where that stands in the configuration. For \
               development: it shows your rules to everybody. The log says it in any case",
        example: "",
    },
    Definition {
        key: "application",
        shape: Shape::Tables(APPLICATION_FIELDS),
        form: "path=PATH,name=NAME",
        default: Default::Explained(
            "browsers only listen, or handlers of the site (`php.script`, `fpm.script`, `webhook.url`); in demo mode the chat, and /echo",
        ),
        modes: SERVE,
        section: BROWSERS,
        help: "What receives the messages that browsers send on a path. Repeatable",
        example: "[[application]]\npath = \"/echo\"\nname = \"echo\"\n[[application]]\npath = \"/game/*\"\nname = \"php\"\nscript = \"/srv/site/game.php\"\nkey = \"path\"",
    },
    Definition {
        key: "subprotocol",
        shape: Shape::List,
        form: "NAME",
        default: Default::Explained("only rupor.v1, which is always there"),
        modes: GATEWAY,
        section: BROWSERS,
        help: "A subprotocol that may be selected on every path when the browser offers it, by preference. Repeatable",
        example: "subprotocol = [\"soap\"]",
    },
    Definition {
        key: "pages",
        shape: Shape::Switch,
        form: "true|false",
        default: Default::Value("false"),
        modes: SERVE,
        section: BROWSERS,
        help: "Whether the test console is served at /console (demo mode always serves it, and the start page)",
        example: "",
    },
    Definition {
        key: "trusted_proxy",
        shape: Shape::List,
        form: "NETWORK",
        default: Default::Explained("nobody"),
        modes: SERVE,
        section: BROWSERS,
        help: "A network of reverse proxies, 10.0.0.0/8: they are believed about who the client is (`client_address`), and limits per address leave them out. Repeatable",
        example: "trusted_proxy = [\"10.0.0.0/8\"]",
    },
    Definition {
        key: "api_key_file",
        shape: Shape::Text,
        form: "FILE",
        default: Default::Explained(
            "the HTTP API and /metrics are off; in demo mode a random key is printed",
        ),
        modes: SERVE,
        section: API,
        help: "File with the bearer key of the HTTP API and of /metrics: 32 or more visible characters on one line",
        example: "api_key_file = \"/etc/rupor/api.key\"",
    },
    Definition {
        key: "api_key",
        shape: Shape::Secret,
        form: "TEXT",
        default: Default::Explained("see api_key_file"),
        modes: SERVE,
        section: API,
        help: "The same in place. There is no flag for it, because other users can read a command line",
        example: "api_key = \"…\"",
    },
    Definition {
        key: "drain",
        shape: Shape::Text,
        form: "TIME",
        default: Default::PerMode("1s", "15s", "1s"),
        modes: EVERY,
        section: RUNNING,
        help: "On SIGTERM or SIGINT: over how long the closes (1001) are spread. A second signal stops at once",
        example: "",
    },
    Definition {
        key: "log",
        shape: Shape::Text,
        form: "FILTER",
        default: Default::Value("info"),
        modes: EVERY,
        section: RUNNING,
        help: "What is logged: error, warn, info, debug or trace, also by part: `info,rupor::inlet=debug`",
        example: "",
    },
    Definition {
        key: "log_format",
        shape: Shape::Text,
        form: "text|json",
        default: Default::Value("text"),
        modes: EVERY,
        section: RUNNING,
        help: "Form of the log on standard error: lines for people, or one JSON object a line",
        example: "",
    },
];
