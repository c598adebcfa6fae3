//! The reference pages and the sample file, made from the definitions. A test fails when a committed page differs;
//! `RUPOR_WRITE_REFERENCE=1 cargo test -p rupor reference` writes them anew.

use super::definition::{Default, Definition, EVERY, Shape};
use super::load;
use super::options::{self, LIMITS};
use super::types::Mode;
use crate::cli::arguments;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const MADE: &str = "<!-- Made from crates/rupor/src/config/options.rs and limits.rs; do not edit.\n     \
    RUPOR_WRITE_REFERENCE=1 cargo test -p rupor reference -->\n";

#[test]
fn reference_of_the_configuration_is_fresh() {
    fresh("docs/reference/configuration.md", &configuration());
}

#[test]
fn reference_of_the_command_line_is_fresh() {
    fresh("docs/reference/cli.md", &command_line());
}

#[test]
fn reference_sample_file_is_fresh() {
    fresh("docs/reference/rupor.toml", &sample());
}

/// The README's table stands between its mark and the next empty line.
#[test]
fn reference_table_of_limits_in_the_readme_is_fresh() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("README.md is there");
    let mark = "<!-- limits -->\n\n";
    let (before, rest) = readme.split_once(mark).expect("README.md has the mark");
    let (_, after) = rest.split_once("\n\n").expect("something follows");
    fresh(
        "README.md",
        &format!("{before}{mark}{}\n{after}", limits_table(false)),
    );
}

/// No page shows an option that was renamed, or a value of another kind.
#[test]
fn configurations_in_the_pages_are_ones() {
    let mut count = 0;
    for folder in ["docs/howto", "docs/tutorial"] {
        let pages = std::fs::read_dir(root().join(folder)).expect("the folder is there");
        for page in pages.map(|page| page.expect("an entry").path()) {
            let text = std::fs::read_to_string(&page).expect("a page");
            for block in text.split("\n```toml\n").skip(1) {
                let (block, _) = block.split_once("```").expect("a block ends");
                let wrong = super::source::from_file(&page, block).err();
                assert!(wrong.is_none(), "{}\n{block}", wrong.unwrap());
                count += 1;
            }
        }
    }
    assert!(count > 15, "only {count} were found");
}

#[test]
fn the_sample_can_be_used_line_by_line() {
    let file = Path::new("rupor.toml");
    assert!(
        super::source::from_file(file, &sample())
            .unwrap()
            .0
            .is_empty(),
        "all is a comment"
    );
    let uncommented: String = sample()
        .lines()
        .map(|line| {
            line.strip_prefix('#')
                .filter(|rest| !rest.starts_with(' '))
                .unwrap_or(line)
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    let layer = super::source::from_file(file, &uncommented)
        .unwrap_or_else(|error| panic!("{error}\n{uncommented}"));
    for definition in options::all() {
        assert!(
            layer.0.contains_key(definition.key),
            "{} is in the sample",
            definition.key
        );
    }
}

#[test]
fn flags_and_variables_are_unique() {
    let mut flags: Vec<String> = options::all().map(Definition::flag).collect();
    flags.sort();
    let count = flags.len();
    flags.dedup();
    assert_eq!(flags.len(), count);
    assert!(!flags.contains(&"--config".to_owned()));
}

#[test]
fn every_default_is_taken() {
    for &mode in EVERY {
        let mut layer = super::source::from_defaults(mode);
        if mode == Mode::Serve {
            let explicit = super::source::from_file(Path::new("rupor.toml"), "auth = \"none\"");
            layer.replace_with(explicit.unwrap());
        }
        super::build::config(mode, &layer).unwrap_or_else(|error| panic!("{mode:?}: {error}"));
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Compares with the committed page, or writes it when asked to.
#[track_caller]
pub(crate) fn fresh(path: &str, wanted: &str) {
    let full = root().join(path);
    if std::env::var_os("RUPOR_WRITE_REFERENCE").is_some() {
        std::fs::create_dir_all(full.parent().expect("it stands in a folder")).unwrap();
        std::fs::write(full, wanted).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(full).unwrap_or_default();
    assert!(
        committed == wanted,
        "{path} is stale: RUPOR_WRITE_REFERENCE=1 cargo test -p rupor reference"
    );
}

fn sections() -> Vec<&'static str> {
    let mut sections = Vec::new();
    for definition in options::all() {
        if !sections.contains(&definition.section) {
            sections.push(definition.section);
        }
    }
    sections
}

/// Something that must not end a table's cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn default_text(definition: &Definition, mode: Mode) -> String {
    match (definition.default_for(mode), definition.default) {
        (Some(default), _) => format!("`{default}`"),
        (None, Default::Explained(text)) => text.to_owned(),
        (None, _) => "none".to_owned(),
    }
}

/// The default, by command where they differ.
fn defaults(definition: &Definition) -> String {
    let all: Vec<(&str, String)> = arguments::SERVING
        .iter()
        .filter(|(_, mode)| definition.modes.contains(mode))
        .map(|(name, mode)| (*name, default_text(definition, *mode)))
        .collect();
    match all.first() {
        Some((_, first)) if all.iter().all(|(_, default)| default == first) => first.clone(),
        _ => {
            let each: Vec<String> = all
                .iter()
                .map(|(name, default)| format!("{name}: {default}"))
                .collect();
            each.join(", ")
        }
    }
}

fn configuration() -> String {
    let mut page = format!(
        "# Configuration\n\n{MADE}\n\
        Every option can be given as a flag, as an environment variable and in the file that `rupor serve` reads: \
        `{file}` in the folder where it is started, or `--config FILE` (`RUPOR_CONFIG`). A flag wins over the environment, \
        the environment over the file, the file over the default; a list replaces a list, it is not added to it. An empty \
        variable counts as none. `demo` and `echo` read no file.\n\n\
        A key that does not exist, a value of the wrong kind, a number out of range: `rupor` does not start, and names file, \
        line, key and the fix. `rupor check` says so without starting. On SIGHUP the certificate, its key and the \
        handlers in PHP are read again; every other option needs a restart.\n\n\
        In the environment the items of a list are separated by spaces or commas, tables by spaces or semicolons: \
        `RUPOR_CHANNEL='name=news,subscribe=anyone name=chat-*,subscribe=users,publish=users'`. Numbers of bytes may have a \
        unit: `64KiB`, `16MiB`. Times have one: `500ms`, `15s`, `2m`. Relative paths count from the folder where `rupor` is \
        started. A sample with every key: [rupor.toml](rupor.toml).\n",
        file = load::DEFAULT_FILE,
    );
    for section in sections() {
        writeln!(page, "\n## {section}").unwrap();
        if section == LIMITS {
            page.push_str(
                "\nNothing that a peer can make grow is without one of these. What happens at a limit stands in its row.\n\n",
            );
            page.push_str(&limits_table(true));
            continue;
        }
        for definition in options::all().filter(|definition| definition.section == section) {
            describe(&mut page, definition);
        }
    }
    page
}

fn describe(page: &mut String, definition: &Definition) {
    let Definition {
        key, form, help, ..
    } = definition;
    let heading = if matches!(definition.shape, Shape::Tables(_)) {
        format!("[[{key}]]")
    } else {
        (*key).to_owned()
    };
    writeln!(page, "\n### `{heading}`\n\n{help}.\n").unwrap();
    let flag = match definition.shape {
        Shape::Secret => "none: other users can read a command line".to_owned(),
        _ => format!("`{} {form}`", definition.flag()),
    };
    let alias = definition
        .alias()
        .map_or_else(<(String, String)>::default, |alias| {
            let (flag, variable) = (alias.flag_name(), alias.variable());
            (format!(", or `--{flag}`"), format!(", or `{variable}`"))
        });
    let modes: Vec<&str> = arguments::SERVING
        .iter()
        .filter(|(_, mode)| definition.modes.contains(mode))
        .map(|(name, _)| *name)
        .collect();
    writeln!(page, "- flag: {flag}{}", alias.0).unwrap();
    let variable = definition.variable();
    writeln!(page, "- environment: `{variable}`{}", alias.1).unwrap();
    writeln!(page, "- default: {}", defaults(definition)).unwrap();
    writeln!(page, "- commands: {}", modes.join(", ")).unwrap();
    if let Shape::Tables(fields) = definition.shape {
        page.push('\n');
        for field in fields {
            writeln!(page, "- `{}`: {}", field.key, field.help).unwrap();
        }
    }
}

/// The limits as a table.
fn limits_table(with_flags: bool) -> String {
    let mut table = String::new();
    if with_flags {
        table.push_str(
            "| key in `[limits]` | flag | default | what it bounds |\n|---|---|---|---|\n",
        );
    } else {
        table.push_str("| limit | default | what it bounds |\n|---|---|---|\n");
    }
    for definition in options::all().filter(|definition| definition.section == LIMITS) {
        let key = definition.key.trim_start_matches("limits.");
        let help = cell(definition.help);
        if with_flags {
            let default = defaults(definition);
            writeln!(
                table,
                "| `{key}` | `{}` | {default} | {help} |",
                definition.flag()
            )
            .unwrap();
        } else {
            let default = default_text(definition, Mode::Serve);
            writeln!(table, "| `{key}` | {default} | {help} |").unwrap();
        }
    }
    table
}

fn command_line() -> String {
    let mut page = format!("# Command line\n\n{MADE}");
    let mut command = arguments::command();
    command.build();
    writeln!(
        page,
        "\n```text\n{}\n```",
        command.render_help().to_string().trim_end()
    )
    .unwrap();
    for command in command
        .get_subcommands()
        .filter(|command| command.get_name() != "help")
    {
        // A flag for each limit would drown the others; the limits have a table of their own.
        let mut limited = false;
        let mut shown = command.clone().mut_args(|argument| {
            let limit = argument.get_help_heading() == Some(LIMITS);
            limited |= limit;
            argument.hide(limit)
        });
        let help = shown.render_long_help().to_string();
        let help: Vec<&str> = help.lines().map(str::trim_end).collect();
        let (name, help) = (command.get_name(), help.join("\n"));
        writeln!(
            page,
            "\n## `rupor {name}`\n\n```text\n{}\n```",
            help.trim_end()
        )
        .unwrap();
        if limited {
            page.push_str("\nAnd a flag for each of the [limits](configuration.md#limits).\n");
        }
    }
    page
}

fn sample() -> String {
    let mut file = String::from(
        "# A configuration of `rupor serve`. Lines that begin with a hash and a letter are options with their defaults, or\n\
         # with an example where there is none. All about them: docs/reference/configuration.md\n",
    );
    let top = |definition: &&Definition| {
        !definition.key.contains('.') && !matches!(definition.shape, Shape::Tables(_))
    };
    for definition in options::all().filter(top) {
        sample_entry(&mut file, definition, definition.key);
    }
    let mut table = "";
    for definition in options::all() {
        let Some((head, key)) = definition.key.split_once('.') else {
            continue;
        };
        if head != table {
            table = head;
            writeln!(file, "\n[{head}]").unwrap();
        }
        sample_entry(&mut file, definition, key);
    }
    for definition in options::all().filter(|each| matches!(each.shape, Shape::Tables(_))) {
        sample_entry(&mut file, definition, definition.key);
    }
    file
}

fn sample_entry(file: &mut String, definition: &Definition, key: &str) {
    file.push('\n');
    let mut column = 0;
    for word in definition.help.split_whitespace() {
        if column > 0 && column + word.len() > 100 {
            column = 0;
            file.push('\n');
        }
        file.push_str(if column == 0 { "# " } else { " " });
        file.push_str(word);
        column += word.len() + 1;
    }
    file.push_str(".\n");
    let lines = match definition.default_for(Mode::Serve) {
        None => definition.example.to_owned(),
        Some(default) => match definition.shape {
            Shape::Number | Shape::Switch => format!("{key} = {default}"),
            Shape::List => {
                let items: Vec<String> =
                    default.split(' ').map(|item| format!("{item:?}")).collect();
                format!("{key} = [{}]", items.join(", "))
            }
            _ => format!("{key} = {default:?}"),
        },
    };
    for line in lines.lines() {
        writeln!(file, "#{line}").unwrap();
    }
}
