//! The file of a recording: traffic as it was, so nobody but its owner may read it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Why a recording could not begin.
#[derive(Debug, thiserror::Error)]
#[error("recording to {}: {error}; name a file in a directory that can be written", path.display())]
pub struct RecordError {
    path: PathBuf,
    error: io::Error,
}

impl RecordError {
    pub(super) fn new(path: &Path, error: io::Error) -> Self {
        Self { path: path.to_owned(), error }
    }
}

/// Makes the file anew, with mode 0600. A regular file of that name goes: emptied, it would keep
/// its mode, and whoever has opened it could read on. Anything else of that name (a link that
/// somebody put into a directory for all, a device) is left alone and an error.
///
/// # Errors
/// If it cannot be made.
pub(super) fn create(path: &Path) -> io::Result<File> {
    match fs::symlink_metadata(path) {
        Ok(there) if there.is_file() => fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::other("it is there and is no regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn only_the_owner_reads_it_whatever_was_there() {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("a.rec");
        fs::write(&path, "old").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("set");
        let file = create(&path).expect("it can be made");
        let metadata = file.metadata().expect("it is there");
        assert_eq!((metadata.permissions().mode() & 0o7777, metadata.len()), (0o600, 0));

        let link = place.path().join("link");
        symlink(&path, &link).expect("a link");
        assert!(create(&link).is_err());
        assert!(create(place.path()).is_err());
        let missing = RecordError::new(&path, create(&place.path().join("no/a")).expect_err("no"));
        assert!(missing.to_string().contains("No such file"), "{missing}");
    }
}
