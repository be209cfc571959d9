//! The shared real data.

use std::path::{Path, PathBuf};

/// The path of a file of the shared data; where it is not there, says so and gives nothing.
pub(crate) fn shared(file: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(file);
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}
