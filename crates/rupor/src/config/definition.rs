//! What an option is: its key in the file, its flag, its environment variable, its defaults and its help.

use super::types::Mode;

/// Every command.
pub(super) const EVERY: &[Mode] = &[Mode::Demo, Mode::Serve, Mode::Echo];
/// `serve` alone.
pub(super) const SERVE: &[Mode] = &[Mode::Serve];
/// Commands with a gateway.
pub(super) const GATEWAY: &[Mode] = &[Mode::Demo, Mode::Serve];

/// How an option is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One text.
    Text,
    /// One number, or a text with a unit.
    Number,
    /// `true` or `false`.
    Switch,
    /// Several texts: a list in the file, a repeated flag, spaces between them in the environment.
    List,
    /// Several tables: `[[key]]` in the file, `name=value,name=value` in a flag, spaces between them in the environment.
    Tables(&'static [Field]),
    /// One text that never stands on a command line.
    Secret,
}

/// A key of a table of [`Shape::Tables`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Field {
    /// The key.
    pub(crate) key: &'static str,
    /// How it is written: text, list (`+` between its items in a flag) or secret.
    pub(crate) shape: Shape,
    /// What it is for.
    pub(crate) help: &'static str,
}

impl Field {
    /// Whether it is meant by `name`: its key, or the one that users of RoadRunner know.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.key == name || (self.key == "workers" && name == "num_workers")
    }
}

/// What holds when nobody says anything.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Default {
    /// Nothing; the text says what that means.
    Explained(&'static str),
    /// The same for every command.
    Value(&'static str),
    /// For demo, serve and echo.
    PerMode(&'static str, &'static str, &'static str),
    /// The server's default for the limit of this name.
    Limit(&'static str),
}

/// An option.
#[derive(Debug)]
pub(crate) struct Definition {
    /// The key in the file; a dot stands for a table.
    pub(crate) key: &'static str,
    /// How it is written.
    pub(crate) shape: Shape,
    /// What its value looks like, in the help.
    pub(crate) form: &'static str,
    /// What holds when nobody says anything.
    pub(crate) default: Default,
    /// Commands that take it.
    pub(crate) modes: &'static [Mode],
    /// Heading that it stands under.
    pub(crate) section: &'static str,
    /// What it does.
    pub(crate) help: &'static str,
    /// A line of TOML for the sample, when the default is not one.
    #[cfg_attr(
        not(test),
        allow(dead_code, reason = "the sample file is made by a test")
    )]
    pub(crate) example: &'static str,
}

impl Definition {
    /// The same, taken by `modes`.
    pub(super) const fn of(self, modes: &'static [Mode]) -> Self {
        Self { modes, ..self }
    }

    /// The same, with a line of TOML for the sample.
    pub(super) const fn example(self, example: &'static str) -> Self {
        Self { example, ..self }
    }

    /// `tls.cert` → `--tls-cert`; the table `limits` is left out: `--message-bytes-max`; so is `script`: `--php`.
    pub(crate) fn flag(&self) -> String {
        format!("--{}", self.flag_name())
    }

    /// The flag without its dashes.
    pub(crate) fn flag_name(&self) -> String {
        flag_name(self.key)
    }

    /// `tls.cert` → `RUPOR_TLS_CERT`.
    pub(crate) fn variable(&self) -> String {
        variable(self.key)
    }

    /// Another key that says the same, with a flag and a variable of its own.
    pub(crate) fn alias(&self) -> Option<Alias> {
        match self.key {
            // As users of RoadRunner know it.
            "php.workers" => Some(Alias("php.num_workers")),
            "php.watch" => Some(Alias("watch")),
            _ => None,
        }
    }

    /// The default for `mode` as text; `None`: nothing.
    pub(crate) fn default_for(&self, mode: Mode) -> Option<String> {
        let text = match (self.default, mode) {
            (Default::Explained(_), _) => return None,
            (Default::Value(text), _) | (Default::PerMode(text, _, _), Mode::Demo) => text,
            (Default::PerMode(_, text, _), Mode::Serve) => text,
            (Default::PerMode(_, _, text), Mode::Echo) => text,
            (Default::Limit(name), mode) => return super::limits::default_text(mode, name),
        };
        (!text.is_empty()).then(|| text.to_owned())
    }
}

/// Another key of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Alias(pub(crate) &'static str);

impl Alias {
    /// As of [`Definition::flag_name`].
    pub(crate) fn flag_name(self) -> String {
        flag_name(self.0)
    }

    /// As of [`Definition::variable`].
    pub(crate) fn variable(self) -> String {
        variable(self.0)
    }
}

fn flag_name(key: &str) -> String {
    let key = key.strip_prefix("limits.").unwrap_or(key);
    let key = key.strip_suffix(".script").unwrap_or(key);
    key.replace(['.', '_'], "-")
}

fn variable(key: &str) -> String {
    let name = flag_name(key).replace('-', "_").to_ascii_uppercase();
    format!("RUPOR_{name}")
}

/// An option of `demo` and `serve`, without an example of its own.
pub(super) const fn option(
    section: &'static str,
    key: &'static str,
    shape: Shape,
    form: &'static str,
    default: Default,
    help: &'static str,
) -> Definition {
    Definition {
        key,
        shape,
        form,
        default,
        modes: GATEWAY,
        section,
        help,
        example: "",
    }
}
