//! The handlers as files.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use tempfile::TempDir;

/// For this user alone: whoever could write here could run programs as this user.
const PRIVATE: u32 = 0o700;

/// Where each file is, as in the repository, because they name one another by relative paths.
const FILES: &[(&str, &str)] = &[
    (
        "clients/php/rupor.php",
        include_str!("../../demo/rupor.php"),
    ),
    (
        "examples/chat/handlers.php",
        include_str!("../../demo/chat/handlers.php"),
    ),
    (
        "examples/tanks/handlers.php",
        include_str!("../../demo/tanks/handlers.php"),
    ),
    (
        "examples/tanks/field.php",
        include_str!("../../demo/tanks/field.php"),
    ),
];

/// A private temporary folder with the handlers. It is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Folder(TempDir);

impl Folder {
    /// Writes all of them.
    pub(crate) fn write() -> io::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("rupor-demo-")
            .permissions(Permissions::from_mode(PRIVATE))
            .tempdir()?;
        for (name, text) in FILES {
            let path = folder.path().join(name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(path, text)?;
        }
        Ok(Self(folder))
    }

    /// The chat's handlers.
    pub(crate) fn chat(&self) -> PathBuf {
        self.0.path().join("examples/chat/handlers.php")
    }

    /// The game's.
    pub(crate) fn tanks(&self) -> PathBuf {
        self.0.path().join("examples/tanks/handlers.php")
    }
}

#[cfg(test)]
mod tests {
    use super::{FILES, Folder};
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    #[test]
    fn the_folder_is_private_whole_and_removed() {
        let folder = Folder::write().unwrap();
        let path = folder.0.path().to_owned();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        for script in [folder.chat(), folder.tanks()] {
            assert!(script.is_file(), "{}", script.display());
            // What it requires is where it looks for it.
            let text = fs::read_to_string(&script).unwrap();
            for line in text.lines().filter(|line| line.starts_with("require ")) {
                let name = line.split('\'').nth(1).unwrap();
                let required = script.parent().unwrap().join(name.trim_start_matches('/'));
                assert!(required.is_file(), "{line}");
            }
        }
        drop(folder);
        assert!(!path.exists());
    }

    /// A copy that was changed, or that a checkout without links made, would be another example than the one that is tested.
    #[test]
    fn the_files_are_those_of_the_repository() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for (name, text) in FILES {
            assert_eq!(
                *text,
                fs::read_to_string(root.join(name)).unwrap(),
                "{name}"
            );
        }
    }
}
