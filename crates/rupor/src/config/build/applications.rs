//! What answers on which path: `[[application]]`, and the pools of handlers that it comes to.
//!
//! A rule without options of its own stands for the pool of the table `[php]`, `[fpm]` or `[webhook]`. One that has some makes
//! a pool of its own from the table's options with these in their place.

use super::Values;
use crate::config::error::{ConfigError, Problem};
use crate::config::source::{Layer, Located, Table, Value};
use crate::config::types::{
    Application, ApplicationRule, Config, FpmConfig, Mode, PhpConfig, WebhookConfig,
};
use crate::config::{calls, parse, php};

/// What a rule names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    Chat,
    Echo,
    Php,
    Fpm,
    Webhook,
}

impl Name {
    const ALL: [(&'static str, Self); 5] = [
        ("chat", Self::Chat),
        ("echo", Self::Echo),
        ("php", Self::Php),
        ("fpm", Self::Fpm),
        ("webhook", Self::Webhook),
    ];
    const HANDLERS: [Self; 3] = [Self::Php, Self::Fpm, Self::Webhook];

    fn text(self) -> &'static str {
        let named = Self::ALL.iter().find(|(_, name)| *name == self);
        named.map_or("", |(text, _)| text)
    }

    /// Options of its table that a rule may have of its own: first the one that says who the handlers are.
    fn own_options(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Chat | Self::Echo => &[],
            Self::Php => &[
                ("script", "php.script"),
                ("workers", "php.workers"),
                ("key", "php.key"),
                ("lines", "php.lines"),
            ],
            Self::Fpm => &[
                ("script", "fpm.script"),
                ("address", "fpm.address"),
                ("events", "fpm.events"),
            ],
            Self::Webhook => &[("url", "webhook.url"), ("events", "webhook.events")],
        }
    }
}

/// The pools of handlers, as far as they are known.
#[derive(Default)]
struct Pools {
    php: Vec<PhpConfig>,
    fpm: Vec<FpmConfig>,
    webhook: Vec<WebhookConfig>,
}

impl Pools {
    /// Adds the pool that these values come to; `None`: they name no handlers.
    fn add(
        &mut self,
        name: Name,
        values: &Values<'_>,
        path: &str,
    ) -> Result<Option<Application>, ConfigError> {
        Ok(match name {
            Name::Chat => Some(Application::Chat),
            Name::Echo => Some(Application::Echo),
            Name::Php => php::php(values)?.map(|mut config| {
                path.clone_into(&mut config.pool);
                self.php.push(config);
                Application::Php(self.php.len() - 1)
            }),
            Name::Fpm => calls::fpm(values)?.map(|mut config| {
                path.clone_into(&mut config.calls.pool);
                self.fpm.push(config);
                Application::Fpm(self.fpm.len() - 1)
            }),
            Name::Webhook => calls::webhook(values)?.map(|mut config| {
                path.clone_into(&mut config.calls.pool);
                self.webhook.push(config);
                Application::Webhook(self.webhook.len() - 1)
            }),
        })
    }
}

/// The rules so far.
#[derive(Default)]
struct Rules {
    rules: Vec<ApplicationRule>,
    pools: Pools,
    /// Tables with handlers that no rule has named.
    unnamed: Vec<Name>,
    /// The pools of tables that a rule has named.
    of_tables: Vec<(Name, Application)>,
}

/// Puts rules and pools into the configuration.
pub(super) fn build(config: &mut Config, values: &Values<'_>) -> Result<(), ConfigError> {
    let mut all = Rules::default();
    for name in Name::HANDLERS {
        // Here, so that a slip in a table is named whether or not a rule needs it.
        if Pools::default().add(name, values, "")?.is_some() {
            all.unnamed.push(name);
        }
    }
    match config.mode {
        Mode::Serve => all.read(values)?,
        Mode::Demo => {
            all.push("/echo", Application::Echo);
            all.push("/chat", Application::Chat);
        }
        Mode::Echo => all.push("*", Application::Echo),
    }
    all.give_the_rest(config.mode, values)?;
    all.lines_are_read(values)?;
    (config.applications, config.php) = (all.rules, all.pools.php);
    (config.fpm, config.webhook) = (all.pools.fpm, all.pools.webhook);
    Ok(())
}

impl Rules {
    fn push(&mut self, path: &str, application: Application) {
        self.rules.push(ApplicationRule {
            path: path.to_owned(),
            application,
            subprotocols: Vec::new(),
        });
    }

    /// Reads `[[application]]`.
    fn read(&mut self, values: &Values<'_>) -> Result<(), ConfigError> {
        for table in values.tables("application") {
            let located = table.required("path", "path = \"/chat\"")?;
            let path = located.parse(parse::path_rule)?;
            if self.rules.iter().any(|other| other.path == path) {
                let what = format!(
                    "the path {} has an application already",
                    parse::shown(&path)
                );
                return Err(Problem::new(what, "leave one of them out").at(&located.origin));
            }
            let application = self.application(values, table, &path)?;
            let subprotocols = table.fields.get("subprotocol");
            let subprotocols = subprotocols.map_or(&[][..], Vec::as_slice).iter();
            self.rules.push(ApplicationRule {
                subprotocols: subprotocols
                    .map(|located| located.parse(parse::subprotocol))
                    .collect::<Result<_, _>>()?,
                path,
                application,
            });
        }
        Ok(())
    }

    fn application(
        &mut self,
        values: &Values<'_>,
        table: &Table,
        path: &str,
    ) -> Result<Application, ConfigError> {
        let located = table.required("name", "name = \"chat\"")?;
        let name = located.parse(|text| parse::choice(text, &Name::ALL))?;
        let own = own_options(table, name)?;
        let names_its_own = name
            .own_options()
            .first()
            .is_some_and(|(who, _)| table.field(who).is_some());
        if !names_its_own {
            self.unnamed.retain(|unnamed| *unnamed != name);
        }
        let known = self.of_tables.iter().find(|(of, _)| *of == name);
        if let (true, Some((_, application))) = (own.0.is_empty(), known) {
            return Ok(*application);
        }
        let is_of_table = own.0.is_empty();
        let mut all = values.layer.clone();
        if !is_of_table {
            // One address has one pool behind it.
            all.0.remove("php.lines");
        }
        all.replace_with(own);
        let pool = self.pools.add(name, &Values::new(&all), path)?;
        let application = pool.ok_or_else(|| no_handlers(name, located))?;
        if is_of_table {
            self.of_tables.push((name, application));
        }
        Ok(application)
    }

    /// Handlers that no rule names answer wherever nothing else does.
    fn give_the_rest(&mut self, mode: Mode, values: &Values<'_>) -> Result<(), ConfigError> {
        match (
            &*self.unnamed,
            self.rules.iter().any(|rule| rule.path == "*"),
        ) {
            ([], true) => {}
            ([], false) if mode == Mode::Demo => self.push("*", Application::Chat),
            ([], false) => {}
            ([name], false) => {
                let name = *name;
                if let Some(application) = self.pools.add(name, values, "*")? {
                    self.push("*", application);
                    self.of_tables.push((name, application));
                }
            }
            _ => {
                return Err(ConfigError::Conflict(Problem::new(
                    "there are handlers that answer on no path: something else has `*`",
                    "give them a path: [[application]] with path = \"/PATH\" and name = \"php\", \"fpm\" or \"webhook\"",
                )));
            }
        }
        Ok(())
    }

    /// Nobody may write lines that nobody reads.
    fn lines_are_read(&self, values: &Values<'_>) -> Result<(), ConfigError> {
        let has_table = self.of_tables.iter().any(|(name, _)| *name == Name::Php);
        match values.located("php.lines") {
            Some(lines) if !self.pools.php.is_empty() && !has_table => {
                let what = "nobody reads these lines: every rule has processes of its own";
                let fix = "write `lines` into the [[application]] that they are for";
                Err(Problem::new(what, fix).at(&lines.origin))
            }
            _ => Ok(()),
        }
    }
}

/// What a rule says of its own about the handlers, as options of their table.
fn own_options(table: &Table, name: Name) -> Result<Layer, ConfigError> {
    let mut own = Layer::default();
    for (field, texts) in &table.fields {
        if matches!(*field, "path" | "name" | "subprotocol") {
            continue;
        }
        let mut options = name.own_options().iter();
        let Some((_, key)) = options.find(|(option, _)| option == field) else {
            let names: Vec<&str> = Name::HANDLERS
                .into_iter()
                .filter(|name| name.own_options().iter().any(|(option, _)| option == field))
                .map(Name::text)
                .collect();
            let what = format!("`{field}` says nothing about `{}`", name.text());
            let fix = format!(
                "leave it out, or write name = \"{}\"",
                names.join("\" or \"")
            );
            let origin = texts.first().map_or(&table.origin, |text| &text.origin);
            return Err(Problem::new(what, fix).at(origin));
        };
        own.0.insert(key, Value::Texts(texts.clone()));
    }
    Ok(own)
}

fn no_handlers(name: Name, located: &Located) -> ConfigError {
    let who = name.own_options().first().map_or("", |(who, _)| who);
    let text = name.text();
    let what = format!("there are no handlers: neither this rule nor a table [{text}] has `{who}`");
    let fix = format!("add `{who}`: docs/reference/rupor.toml has an example");
    Problem::new(what, fix).at(&located.origin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source;

    fn loaded(file: &str) -> Result<Config, String> {
        let file = format!("auth = \"none\"\n{file}");
        let layer = source::of_text(Mode::Serve, &file).map_err(|error| error.to_string())?;
        super::super::config(Mode::Serve, &layer).map_err(|error| error.to_string())
    }

    fn rule(path: &str, name: &str, more: &str) -> String {
        format!("[[application]]\npath = \"{path}\"\nname = \"{name}\"\n{more}\n")
    }

    #[test]
    fn a_rule_with_options_of_its_own_makes_a_pool_with_the_others_of_the_table() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let script = format!("script = \"{}\"", file.path().display());
        let table =
            format!("[php]\n{script}\nexec_ttl = \"7s\"\nlines = [\"tcp://127.0.0.1:0\"]\n");
        let own = rule("/b", "php", "workers = 3\nkey = \"path\"");
        let all = [table, rule("/a", "php", ""), own, rule("/c", "php", "")].concat();
        let config = loaded(&all).unwrap();
        let answers: Vec<_> = config
            .applications
            .iter()
            .map(|rule| rule.application)
            .collect();
        let (shared, other) = (Application::Php(0), Application::Php(1));
        assert_eq!(answers, [shared, other, shared]);
        let seen: Vec<_> = config
            .php
            .iter()
            .map(|php| {
                (
                    &*php.pool,
                    php.workers.get(),
                    php.lines.len(),
                    php.exec_ttl.as_secs(),
                )
            })
            .collect();
        assert_eq!(seen, [("/a", 1, 1, 7), ("/b", 3, 0, 7)]);
    }

    #[test]
    fn handlers_of_a_table_that_no_rule_names_answer_everywhere_else() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let script = format!("script = \"{}\"", file.path().display());
        let table = format!("[php]\n{script}\n");
        let paths = |config: &Config| {
            let rules = config.applications.iter();
            rules.map(|rule| rule.path.clone()).collect::<Vec<_>>()
        };
        // Another script: the table's is not named.
        let config = loaded(&format!("{table}{}", rule("/a", "php", &script))).unwrap();
        assert_eq!(
            (paths(&config), config.php.len()),
            (vec!["/a".into(), "*".into()], 2)
        );
        // The table's script, elsewhere.
        let config = loaded(&format!("{table}{}", rule("/a", "php", "workers = 2"))).unwrap();
        assert_eq!((paths(&config), config.php.len()), (vec!["/a".into()], 1));
        let error = loaded(&format!("{table}{}", rule("*", "php", &script))).unwrap_err();
        assert!(error.contains("answer on no path"), "{error}");
    }

    #[test]
    fn options_that_nobody_would_heed_are_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let script = format!("script = \"{}\"", file.path().display());
        let lines = format!(
            "[php]\nlines = [\"tcp://127.0.0.1:0\"]\n{}",
            rule("/a", "php", &script)
        );
        for (file, line, what) in [
            (lines, 3, "nobody reads these lines"),
            (rule("/a", "echo", "workers = 2"), 5, "write name = \"php\""),
            (
                rule("/a", "webhook", "script = \"x\""),
                5,
                "write name = \"php\" or \"fpm\"",
            ),
            (
                rule("/a", "webhook", "events = [\"open\"]"),
                4,
                "neither this rule nor a table [webhook] has `url`",
            ),
        ] {
            let error = loaded(&file).unwrap_err();
            assert!(
                error.contains(what) && error.contains(&format!("rupor.toml:{line}")),
                "{error}"
            );
        }
    }
}
