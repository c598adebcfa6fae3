//! The examples in PHP that demo mode has with it: a chat and a tank game, where PHP is installed.
//!
//! `crates/rupor/demo/` links to them, so that the program has exactly the files of `examples/` inside. Their pages are
//! served by [`pages`](crate::pages); their handlers are written into a private [`folder`], because PHP reads files; and
//! whether there is a PHP to read them is found out by [`installed`].

mod folder;
mod installed;

pub(crate) use installed::Lack;

use crate::config::{Application, ApplicationRule, Config, PhpConfig};
use folder::Folder;

/// Where the chat's page is, and what it connects to.
pub(crate) const CHAT: &str = "/demo/chat/";
/// Where the game's page is, and what it connects to.
pub(crate) const TANKS: &str = "/demo/tanks/";

/// The examples of a demo that runs.
#[derive(Debug)]
pub(crate) struct Examples {
    /// Their handlers; kept for as long as PHP may read them.
    _folder: Option<Folder>,
    lack: Option<Lack>,
}

impl Examples {
    /// Finds out whether they can be had, and adds their handlers to the configuration if so.
    pub(crate) async fn prepare(config: &mut Config) -> Self {
        let Some(template) = config.examples.clone() else {
            return Self {
                _folder: None,
                lack: None,
            };
        };
        let folder = match installed::look(&template.binary).await {
            Ok(()) => Folder::write().map_err(|error| Lack::Folder(error.to_string())),
            Err(lack) => Err(lack),
        };
        match folder {
            Ok(folder) => {
                for (path, script) in [(CHAT, folder.chat()), (TANKS, folder.tanks())] {
                    config.applications.push(ApplicationRule {
                        path: path.to_owned(),
                        application: Application::Php(config.php.len()),
                        subprotocols: Vec::new(),
                    });
                    config.php.push(PhpConfig {
                        pool: path.to_owned(),
                        script,
                        ..template.clone()
                    });
                }
                Self {
                    _folder: Some(folder),
                    lack: None,
                }
            }
            Err(lack) => Self {
                _folder: None,
                lack: Some(lack),
            },
        }
    }

    /// Why they cannot be had, if they cannot.
    pub(crate) fn lack(&self) -> Option<&Lack> {
        self.lack.as_ref()
    }
}
