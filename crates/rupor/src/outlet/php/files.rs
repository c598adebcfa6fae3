//! Handlers that come with the program, as files: PHP reads scripts from nowhere else.

use crate::system;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A private temporary folder with the files. It is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Folder(TempDir);

impl Folder {
    /// Writes files of these names, which may have folders in them, and texts.
    pub(super) fn write(files: &[(&str, &str)]) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        let folder = system::private(builder.prefix("rupor-demo-")).tempdir()?;
        for (name, text) in files {
            let path = folder.path().join(name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(path, text)?;
        }
        Ok(Self(folder))
    }

    /// Where one of them is.
    pub(super) fn path(&self, name: &Path) -> PathBuf {
        self.0.path().join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::Folder;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    #[test]
    fn the_folder_is_private_whole_and_removed() {
        let folder = Folder::write(&[("a.php", "a"), ("b/c.php", "c")]).unwrap();
        let root = folder.path(Path::new(""));
        let mode = fs::metadata(&root).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        for (name, text) in [("a.php", "a"), ("b/c.php", "c")] {
            let path = folder.path(Path::new(name));
            assert_eq!(fs::read_to_string(path).unwrap(), text);
        }
        drop(folder);
        assert!(!root.exists());
    }
}
