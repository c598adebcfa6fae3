//! `auth`, `[[jwt]]` and `[token]`.

use super::{Values, read_key_file, without_line_end};
use crate::auth::key::{KeyError, VerifyingKey};
use crate::config::error::{ConfigError, Problem};
use crate::config::source::Table;
use crate::config::types::{Auth, Jwt, JwtAlgorithm, JwtKey, JwtSources, Way};
use crate::config::{Secret, auth_webhook, parse, session, signed_url};
use std::time::Duration;

/// Largest difference of clocks that can be tolerated.
const LEEWAY_MAX: Duration = Duration::from_secs(300);

const ALGORITHMS: &[(&str, JwtAlgorithm)] = &[
    ("HS256", JwtAlgorithm::Hs256),
    ("HS384", JwtAlgorithm::Hs384),
    ("HS512", JwtAlgorithm::Hs512),
    ("RS256", JwtAlgorithm::Rs256),
    ("RS384", JwtAlgorithm::Rs384),
    ("RS512", JwtAlgorithm::Rs512),
    ("PS256", JwtAlgorithm::Ps256),
    ("PS384", JwtAlgorithm::Ps384),
    ("PS512", JwtAlgorithm::Ps512),
    ("ES256", JwtAlgorithm::Es256),
    ("ES384", JwtAlgorithm::Es384),
    ("EdDSA", JwtAlgorithm::EdDsa),
];

/// What `serve` asks a connection for. Nothing at all must be said explicitly. `for_channels`: whether a rule of a channel
/// looks at tokens.
pub(super) fn auth(values: &Values<'_>, for_channels: bool) -> Result<Auth, ConfigError> {
    let choices = Way::ALL.map(|way| (way.name(), way));
    let mut ways = values.each("auth", |text| parse::choice(text, &choices))?;
    let keys = values.tables("jwt");
    let signed_url_key = signed_url::key(values)?;
    let session = session::session(values)?;
    let webhook = auth_webhook::auth_webhook(values)?;
    if ways.is_empty() && !keys.is_empty() {
        ways.push(Way::Jwt);
    }
    if ways.is_empty() && session.is_some() {
        ways.push(Way::Session);
    }
    check_ways(&ways, |way| match way {
        Way::Jwt => !keys.is_empty(),
        Way::SignedUrl => signed_url_key.is_some(),
        Way::Session => session.is_some(),
        Way::Webhook => webhook.is_some(),
        Way::Guest | Way::None => true,
    })?;
    if session.is_some() && !ways.contains(&Way::Session) {
        let what = "there are sessions, but `auth` has no \"session\"";
        let others = ways.iter().filter(|way| **way != Way::None);
        let names: Vec<_> = [&Way::Session]
            .into_iter()
            .chain(others)
            .map(|way| way.name())
            .collect();
        let problem = Problem::new(
            what,
            format!(
                "write auth = [\"{}\"], or leave the table [session] out",
                names.join("\", \"")
            ),
        );
        return Err(ConfigError::Conflict(problem));
    }
    if let Some(key) = keys.first()
        && !ways.contains(&Way::Jwt)
        && !for_channels
    {
        let what = "there is a JWT key, but `auth` has no \"jwt\"";
        let fix = "leave one of them out: no token is looked at, but for channels with subscribe = \"token\"";
        return Err(Problem::new(what, fix).at(&key.origin));
    }
    Ok(Auth {
        jwt: keys.first().map(|_| jwt(values, keys)).transpose()?,
        signed_url_key,
        session,
        webhook,
        ways,
    })
}

/// Whether the ways go together, and each has what it looks with.
fn check_ways(ways: &[Way], is_set_up: impl Fn(Way) -> bool) -> Result<(), ConfigError> {
    let conflict = |what: &str, fix: &str| Err(ConfigError::Conflict(Problem::new(what, fix)));
    for (place, way) in ways.iter().enumerate() {
        if ways[..place].contains(way) || (*way == Way::None && ways.len() > 1) {
            let what = "option `auth`: a way stands there twice, or beside \"none\"";
            return conflict(what, "name each way once; \"none\" stands alone");
        }
        if *way == Way::Guest && place + 1 < ways.len() {
            let what = "option `auth`: nothing behind \"guest\" is ever asked";
            return conflict(what, "let \"guest\" be the last of several ways");
        }
        match way {
            Way::SignedUrl if !is_set_up(*way) => {
                let what = "auth = \"signed\", and there is no key for signed addresses";
                return conflict(what, "give --signed-url-key-file FILE");
            }
            Way::Session if !is_set_up(*way) => {
                let what = "auth = \"session\", and nothing says where sessions lie";
                return conflict(what, "give --session-files FOLDER, or RUPOR_SESSION_REDIS");
            }
            Way::Webhook if !is_set_up(*way) => {
                let what = "auth = \"webhook\", and nothing says where the site is asked";
                return conflict(what, "give --auth-webhook-url URL");
            }
            _ => {}
        }
    }
    if ways.is_empty() || (ways.contains(&Way::Jwt) && !is_set_up(Way::Jwt)) {
        return conflict(
            "nothing says how a connection proves who it is (option `auth`)",
            "give a key: [[jwt]] in rupor.toml or --jwt algorithm=HS256,key_file=FILE; or the site's sessions, by `files` or `redis` in [session]; \
             or a key in [signed_url], or a URL in [auth_webhook]. Or say auth = \"none\" (--auth none) if anybody may be anybody",
        );
    }
    Ok(())
}

fn jwt(values: &Values<'_>, tables: &[Table]) -> Result<Jwt, ConfigError> {
    let mut keys: Vec<JwtKey> = Vec::new();
    for table in tables {
        let key = key(table)?;
        if tables.len() > 1 && key.id.is_none() {
            let what = "there are several keys, and this one has no `id`";
            return Err(
                Problem::new(what, "add id = \"…\", the `kid` of its tokens").at(&table.origin),
            );
        }
        if keys.iter().any(|other| other.id == key.id) {
            let what = "another key has the same `id`";
            return Err(Problem::new(what, "give every key an `id` of its own").at(&table.origin));
        }
        keys.push(key);
    }
    let name = |text: &str| match text {
        "" => Err(Problem::new(
            "the text is empty",
            "write a name, or leave the option out",
        )),
        _ => Ok(text.to_owned()),
    };
    let leeway = |text: &str| parse::duration(text, Duration::ZERO, LEEWAY_MAX);
    Ok(Jwt {
        keys,
        sources: sources(values)?,
        query_parameter: values
            .optional("token.query_parameter", name)?
            .unwrap_or_default(),
        user_claim: values
            .optional("token.user_claim", name)?
            .unwrap_or_default(),
        issuer: values.optional("token.issuer", name)?,
        audience: values.optional("token.audience", name)?,
        leeway: values.optional("token.leeway", leeway)?.unwrap_or_default(),
    })
}

fn sources(values: &Values<'_>) -> Result<JwtSources, ConfigError> {
    let mut sources = JwtSources {
        query: false,
        subprotocol: false,
        first_message: false,
    };
    for located in values.texts("token.from") {
        let choices = [("query", 0), ("subprotocol", 1), ("message", 2)];
        match located.parse(|text| parse::choice(text, &choices))? {
            0 => sources.query = true,
            1 => sources.subprotocol = true,
            _ => sources.first_message = true,
        }
    }
    if !(sources.query || sources.subprotocol || sources.first_message) {
        return Err(ConfigError::Conflict(Problem::new(
            "`token.from` is empty, so no token would ever be found",
            "write from = [\"query\", \"subprotocol\", \"message\"] or some of them, or leave it out",
        )));
    }
    Ok(sources)
}

fn key(table: &Table) -> Result<JwtKey, ConfigError> {
    let algorithm = table
        .required("algorithm", "algorithm = \"HS256\"")?
        .parse(|text| parse::choice(text, ALGORITHMS))?;
    let (place, bytes) = match (table.field("key_file"), table.field("key")) {
        (Some(file), None) => (file, read_key_file(file)?),
        (None, Some(key)) => (key, key.text.clone().into_bytes()),
        (None, None) => {
            return Err(
                Problem::new("the key is missing", "add key_file = \"FILE\"").at(&table.origin),
            );
        }
        (Some(_), Some(key)) => {
            let what = "`key` and `key_file` are both given";
            return Err(Problem::new(what, "leave one of them out").at(&key.origin));
        }
    };
    let symmetric = matches!(
        algorithm,
        JwtAlgorithm::Hs256 | JwtAlgorithm::Hs384 | JwtAlgorithm::Hs512
    );
    let key = JwtKey {
        id: table.field("id").map(|id| id.text.clone()),
        algorithm,
        key: Secret::new(if symmetric {
            without_line_end(bytes)
        } else {
            bytes
        }),
    };
    VerifyingKey::new(&key).map_err(|error| problem(&error).at(&place.origin))?;
    Ok(key)
}

/// What is wrong with a key, and what to do about it.
pub(super) fn problem(error: &KeyError) -> Problem {
    Problem::new(error.to_string(), "name another key")
}
