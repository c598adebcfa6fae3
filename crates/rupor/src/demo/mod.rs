//! The examples in PHP that demo mode has with it: a chat and a tank game, where PHP is installed.
//!
//! `crates/rupor/demo/` links to them, so that the program has exactly the files of `examples/` inside. Their pages are
//! served by [`pages`](crate::pages); their handlers run in pools of their own; and whether there is a PHP to run them is found
//! out by [`installed`].

mod installed;

pub(crate) use installed::{Lack, OLDEST as OLDEST_PHP};

use crate::config::{Application, ApplicationRule, Config, PhpConfig};

/// Where the chat's page is, and what it connects to.
pub(crate) const CHAT: &str = "/demo/chat/";
/// Where the game's page is, and what it connects to.
pub(crate) const TANKS: &str = "/demo/tanks/";

/// The handlers of both: where they answer, which file is run, and the files. Those have the names that they have in the
/// repository, because they name one another by relative paths.
const HANDLERS: [Handlers; 2] = [
    Handlers {
        path: CHAT,
        script: "examples/chat/handlers.php",
        files: &[
            LIBRARY,
            (
                "examples/chat/handlers.php",
                include_str!("../../demo/chat/handlers.php"),
            ),
        ],
    },
    Handlers {
        path: TANKS,
        script: "examples/tanks/handlers.php",
        files: &[
            LIBRARY,
            (
                "examples/tanks/handlers.php",
                include_str!("../../demo/tanks/handlers.php"),
            ),
            (
                "examples/tanks/field.php",
                include_str!("../../demo/tanks/field.php"),
            ),
        ],
    },
];

const LIBRARY: (&str, &str) = (
    "clients/php/rupor.php",
    include_str!("../../demo/rupor.php"),
);

struct Handlers {
    path: &'static str,
    script: &'static str,
    files: &'static [(&'static str, &'static str)],
}

/// Finds out whether the examples can be had, and adds their handlers to the configuration of a demo if so; else why not.
pub(crate) async fn prepare(config: &mut Config) -> Option<Lack> {
    let template = config.examples.clone()?;
    if let Err(lack) = installed::look(&template.binary).await {
        return Some(lack);
    }
    for handlers in HANDLERS {
        config.applications.push(ApplicationRule {
            path: handlers.path.to_owned(),
            application: Application::Php(config.php.len()),
            subprotocols: Vec::new(),
        });
        config.php.push(PhpConfig {
            pool: handlers.path.to_owned(),
            script: handlers.script.into(),
            files: handlers.files,
            ..template.clone()
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::HANDLERS;
    use std::fs;
    use std::path::{Component, Path, PathBuf};

    /// A copy that was changed, or that a checkout without links made, would be another example than the one that is tested.
    #[test]
    fn the_files_are_those_of_the_repository() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for (name, text) in HANDLERS.iter().flat_map(|handlers| handlers.files) {
            assert_eq!(
                *text,
                fs::read_to_string(root.join(name)).unwrap(),
                "{name}"
            );
        }
    }

    #[test]
    fn what_a_script_requires_comes_with_it() {
        for handlers in HANDLERS {
            let names: Vec<&str> = handlers.files.iter().map(|(name, _)| *name).collect();
            assert!(names.contains(&handlers.script));
            let (_, text) = handlers
                .files
                .iter()
                .find(|(name, _)| *name == handlers.script)
                .unwrap();
            let folder = Path::new(handlers.script).parent().unwrap();
            for line in text.lines().filter(|line| line.starts_with("require ")) {
                let name = line.split('\'').nth(1).unwrap().trim_start_matches('/');
                let mut required = PathBuf::new();
                for part in folder.join(name).components() {
                    match part {
                        Component::ParentDir => assert!(required.pop(), "{line}"),
                        part => required.push(part),
                    }
                }
                assert!(names.contains(&required.to_str().unwrap()), "{line}");
            }
        }
    }
}
