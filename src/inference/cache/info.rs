//! What is in a cache: takes its folder, gives its models with their vectors and sizes, or removes everything.

use std::fs;
use std::io;
use std::path::Path;

use super::root;
use super::segment::{self, HEADER, Header};
use super::stamps::Stamps;

/// The vectors of a model in a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    /// `name@version on cpu`, as of the first write; `None` if no file says so any more.
    pub(crate) model: Option<String>,
    /// Numbers a vector.
    pub(crate) dimension: Option<usize>,
    /// How many vectors can be read.
    pub(crate) vectors: u64,
    /// Bytes of the files.
    pub(crate) bytes: u64,
    /// When one was last used, in seconds since 1970.
    pub(crate) last_used: Option<u32>,
    /// The folder.
    pub(crate) folder: std::path::PathBuf,
}

/// The models in the cache at `root`; none if there is no cache.
///
/// # Errors
/// A model's folder cannot be listed.
pub(crate) fn kept(root: &Path) -> io::Result<Vec<Kept>> {
    let mut all = Vec::new();
    for folder in root::shelves(root) {
        let mut kept =
            Kept { model: None, dimension: None, vectors: 0, bytes: 0, last_used: None, folder: folder.clone() };
        for (name, bytes) in root::segments(&folder)? {
            let path = folder.join(name);
            let beside = root::stamps_beside(&path);
            kept.bytes += bytes + fs::metadata(&beside).map_or(0, |metadata| metadata.len());
            let Ok(file) = fs::File::open(&path) else { continue };
            let Ok(Some(header)) = Header::read(&file) else { continue };
            let mut records = Vec::new();
            // What is damaged counts nothing.
            let _ = segment::scan(&file, header.width, HEADER, &mut records);
            let stamps = Stamps::load(&beside, records.len(), 0);
            kept.last_used = kept.last_used.max((0..records.len()).map(|number| stamps.get(number)).max());
            kept.vectors += records.len() as u64;
            kept.model = Some(header.model);
            kept.dimension = Some(header.width);
        }
        all.push(kept);
    }
    all.sort_by(|a, b| a.model.cmp(&b.model));
    Ok(all)
}

/// Bytes that the cache at `root` may hold under this setting.
pub(crate) fn limit(root: &Path, size: debut_udfs::config::CacheSize) -> u64 {
    root::limit(root, size, root::used(root))
}

/// Removes all vectors of the cache at `root`, and no file that is not the cache's.
///
/// # Errors
/// The file system's.
pub(crate) fn clear(root: &Path) -> io::Result<()> {
    for folder in root::shelves(root) {
        for (name, _) in root::segments(&folder)? {
            root::remove(&folder.join(name))?;
        }
        // Somebody else's file in it keeps it, and so does one that was begun this moment.
        let _ = fs::remove_dir(&folder);
    }
    Ok(())
}
