//! Which file is read, and in which order the layers lie: flag > environment > file > default.

use super::definition::{Alias, Definition};
use super::error::{ConfigError, Origin, Problem, nearest};
use super::source::{self, FILE_BYTES_MAX};
use super::types::{Config, Mode};
use super::{build, options};
use clap::ArgMatches;
use clap::parser::ValueSource;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Error, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

/// The file that is read when it is there and none is named.
pub(crate) const DEFAULT_FILE: &str = "rupor.toml";

/// Loads a command's configuration. `file` is read for [`Mode::Serve`] only.
///
/// # Errors
/// The first thing that is wrong.
pub(crate) fn load(
    mode: Mode,
    file: Option<&Path>,
    variable: &dyn Fn(&str) -> Option<OsString>,
    flags: &ArgMatches,
) -> Result<Config, ConfigError> {
    let mut layer = source::from_defaults(mode);
    if let Some(path) = file {
        let text = read(path).map_err(|error| ConfigError::Unreadable {
            path: path.to_owned(),
            error,
        })?;
        layer.replace_with(source::from_file(path, &text)?);
    }
    layer.replace_with(source::from_environment(mode, variable)?);
    layer.replace_with(source::from_flags(mode, flags)?);
    build::config(mode, &layer)
}

/// The file that is named: by the argument `FILE`, which not all commands have, by `--config`, or in the environment.
///
/// # Errors
/// Both on the command line.
pub(crate) fn named(flags: &ArgMatches) -> Result<Option<&Path>, ConfigError> {
    let alone = flags.try_get_one::<PathBuf>("file").ok().flatten();
    if alone.is_some() && flags.value_source("config") == Some(ValueSource::CommandLine) {
        let problem = Problem::new("FILE names the configuration, too", "name one of them");
        return Err(problem.at(&Origin::Flag("--config".into())));
    }
    let named = alone.or_else(|| flags.get_one("config"));
    Ok(named.map(PathBuf::as_path))
}

/// The file to read: the one that was named, else [`DEFAULT_FILE`] when it is there.
pub(crate) fn file(named: Option<&Path>) -> Option<PathBuf> {
    let default = Path::new(DEFAULT_FILE);
    match named {
        Some(path) => Some(path.to_owned()),
        None => default.exists().then(|| default.to_owned()),
    }
}

/// Environment variables that look like a slip: `RUPOR_LISEN`, with what was probably meant. Others that begin with
/// `RUPOR_` are left alone: container platforms make such names of their own.
pub(crate) fn misspelt(names: impl Iterator<Item = String>) -> Vec<(String, String)> {
    let called = |option: &'static Definition| {
        let alias = option.alias().map(Alias::variable);
        std::iter::once(option.variable()).chain(alias)
    };
    let known: Vec<String> = options::all().flat_map(called).collect();
    let meant = |name: &String| {
        if known.contains(name) {
            return None;
        }
        let short = name.strip_prefix("RUPOR_")?;
        let shorts = known
            .iter()
            .filter_map(|known| known.strip_prefix("RUPOR_"));
        nearest(short, shorts).map(|near| format!("RUPOR_{near}"))
    };
    names
        .filter_map(|name| meant(&name).map(|meant| (name, meant)))
        .collect()
}

fn read(path: &Path) -> Result<String, Error> {
    let mut text = String::new();
    File::open(path)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        let why = format!("it is longer than {FILE_BYTES_MAX} bytes");
        return Err(Error::new(ErrorKind::InvalidData, why));
    }
    Ok(text)
}
