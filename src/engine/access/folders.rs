//! Locations in SQL as files in the folders that are served.
//!
//! Takes the folders by the names that the server was given, and locations as SQL writes them; gives absolute paths in one of
//! the folders. A path that is not below a folder by its name alone is refused before the file system is asked: what is
//! outside cannot be told from what does not exist.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use datafusion::common::{DataFusionError, Result, plan_datafusion_err, plan_err};
use datafusion::datasource::listing::ListingTableUrl;

/// With one of these a name is a pattern of several files.
const PATTERN: [char; 3] = ['*', '?', '['];

/// The folders.
#[derive(Debug)]
pub(super) struct Folders(Vec<Folder>);

#[derive(Debug)]
struct Folder {
    /// As it was given.
    name: String,
    /// Absolute, without `..`.
    path: PathBuf,
    /// Without symbolic links.
    canonical: PathBuf,
}

impl Folders {
    /// The folders of these names.
    ///
    /// # Errors
    /// One is not there, or its name is a pattern.
    pub(super) fn open(folders: &[PathBuf]) -> Result<Self> {
        let mut opened = Vec::with_capacity(folders.len());
        for folder in folders {
            let name = folder.display().to_string();
            if folder.to_str().is_none_or(|name| name.contains(PATTERN)) {
                return plan_err!("'{name}' cannot be served: its name has characters of patterns, or is no text");
            }
            let canonical =
                fs::canonicalize(folder).map_err(|error| plan_datafusion_err!("'{name}' cannot be served: {error}"))?;
            if !canonical.is_dir() {
                return plan_err!("'{name}' cannot be served: it is not a folder");
            }
            let path = normal(&std::env::current_dir()?.join(folder));
            // `link/..` is not where its text says.
            let is_same = fs::canonicalize(&path).is_ok_and(|found| found == canonical);
            let path = if is_same { path } else { canonical.clone() };
            opened.push(Folder { name, path, canonical });
        }
        Ok(Self(opened))
    }

    /// A location that need not exist, as one that DataFusion reads in the same way wherever the process runs.
    ///
    /// # Errors
    /// It is not below a folder.
    pub(super) fn within(&self, location: &str) -> Result<String> {
        let refused = || self.refused(location);
        let absolute = if is_url(location) { location.to_owned() } else { self.absolute(location)? };
        if !is_url(location) && !self.names(&normal(before_pattern(&absolute))) {
            return Err(refused());
        }
        // Only now, because it looks at what is there. DataFusion's reading of the location is what counts.
        let url = ListingTableUrl::parse(&absolute).map_err(|_| refused())?;
        let is_file = url.object_store().as_str() == "file:///";
        if is_file && self.contains(&path_of(&url)) { Ok(absolute) } else { Err(refused()) }
    }

    /// [`Self::within`] for what is to be there.
    ///
    /// # Errors
    /// It is not below a folder, or there is nothing of that name: the message is the same.
    pub(super) fn existing(&self, location: &str) -> Result<String> {
        let found = self.within(location)?;
        if path_of(&ListingTableUrl::parse(&found)?).exists() { Ok(found) } else { Err(self.refused(location)) }
    }

    /// [`Self::existing`] as a path of the file system: of a pattern, the folder that it is looked for in.
    ///
    /// # Errors
    /// As there.
    pub(super) fn existing_path(&self, location: &str) -> Result<PathBuf> {
        Ok(path_of(&ListingTableUrl::parse(self.existing(location)?)?))
    }

    /// Whether a path, which need not exist, is below one of the folders: by its name, and with its symbolic links followed.
    pub(super) fn contains(&self, path: &Path) -> bool {
        let path = normal(path);
        self.names(&path) && canonical(&path).is_some_and(|path| self.holds(&path))
    }

    /// Whether a model can be read from `path` without leaving the folders.
    pub(super) fn is_closed(&self, path: &Path) -> bool {
        let folder = if path.is_dir() { Some(path) } else { path.parent() };
        let Some(folder) = folder.filter(|folder| self.contains(folder)) else { return false };
        // The tokenizer of a graph, or what is done to pictures for it, may be in the folder above.
        if !path.is_dir() && folder.parent().is_none_or(|above| !self.contains(above)) {
            let settings = ["tokenizer.json", "preprocessor_config.json"];
            return settings.iter().any(|name| folder.join(name).is_file()) && self.tree_is_closed(folder);
        }
        self.tree_is_closed(folder)
    }

    fn tree_is_closed(&self, folder: &Path) -> bool {
        let (mut open, mut seen) = (vec![folder.to_path_buf()], HashSet::new());
        while let Some(path) = open.pop() {
            let Some(found) = canonical(&path).filter(|found| self.holds(found)) else { return false };
            if !found.is_dir() || !seen.insert(found) {
                continue;
            }
            let Ok(entries) = fs::read_dir(&path) else { return false };
            for entry in entries {
                let Ok(entry) = entry else { return false };
                open.push(entry.path());
            }
        }
        true
    }

    /// The error for a location that is outside or not there.
    pub(super) fn refused(&self, location: &str) -> DataFusionError {
        let names = self.0.iter().map(|folder| format!("'{}'", folder.name)).collect::<Vec<_>>().join(", ");
        match names.as_str() {
            "" => plan_datafusion_err!("'{location}' is not served: this session reads no files"),
            names => {
                plan_datafusion_err!("'{location}' is not in what is served; the files of this session are in {names}")
            }
        }
    }

    /// A relative name, below the one folder or the one that it begins with.
    fn absolute(&self, location: &str) -> Result<String> {
        if Path::new(location).is_absolute() {
            return Ok(location.to_owned());
        }
        let below = |folder: &Folder, rest: &str| match folder.path.join(rest).into_os_string().into_string() {
            Ok(path) => Ok(path),
            Err(_) => Err(self.refused(location)),
        };
        if let [folder] = self.0.as_slice() {
            return below(folder, location);
        }
        let relative = location.trim_start_matches("./");
        let (first, rest) = relative.split_once('/').unwrap_or((relative, ""));
        let mut named = self.0.iter().filter(|folder| folder.path.file_name() == Some(OsStr::new(first)));
        match (named.next(), named.next()) {
            (Some(folder), None) => below(folder, rest),
            (Some(_), Some(_)) => {
                plan_err!("'{location}': several served folders are named '{first}'; write the whole path")
            }
            (None, _) => Err(self.refused(location)),
        }
    }

    fn names(&self, path: &Path) -> bool {
        self.0.iter().any(|folder| path.starts_with(&folder.path) || path.starts_with(&folder.canonical))
    }

    fn holds(&self, canonical: &Path) -> bool {
        self.0.iter().any(|folder| canonical.starts_with(&folder.canonical))
    }
}

/// Whether a location begins with a scheme. DataFusion takes it for a path only where it does not.
fn is_url(location: &str) -> bool {
    let Some((scheme, _)) = location.split_once(':') else { return false };
    let plain = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(plain)
}

/// The file or folder of a location that is one.
pub(super) fn path_of(location: &ListingTableUrl) -> PathBuf {
    Path::new("/").join(location.prefix().as_ref())
}

/// The path above the first part that is a pattern.
fn before_pattern(location: &str) -> &Path {
    let end = location.find(PATTERN).map_or(location.len(), |at| location[..at].rfind('/').map_or(0, |at| at + 1));
    Path::new(&location[..end])
}

/// A path without `.` and `..`, by its text alone, as URLs are read.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(normal.pop()),
            Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal
}

/// Where a path leads with its symbolic links followed; what does not exist is below what does. `None` if that is not known:
/// a link leads nowhere, or may not be followed.
fn canonical(path: &Path) -> Option<PathBuf> {
    let (mut known, mut rest) = (path, Vec::new());
    loop {
        match fs::canonicalize(known) {
            Ok(mut found) => {
                found.extend(rest.iter().rev());
                return Some(found);
            }
            Err(error) if error.kind() == ErrorKind::NotFound && fs::symlink_metadata(known).is_err() => {
                rest.push(known.file_name()?);
                known = known.parent()?;
            }
            Err(_) => return None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_urls_are() {
        for (path, expected) in [
            ("/a/./b//c", "/a/b/c"),
            ("/a/../../b", "/b"),
            ("/a/b/..", "/a"),
            ("/", "/"),
            ("/..", "/"),
            ("/a/..b", "/a/..b"),
        ] {
            assert_eq!(normal(Path::new(path)), Path::new(expected), "{path}");
        }
        assert_eq!(before_pattern("/a/b*/c"), Path::new("/a/"));
        assert_eq!(before_pattern("/a/b"), Path::new("/a/b"));
        assert!(is_url("s3://b/k") && is_url("FILE:/x") && is_url("a:b") && !is_url("/a:b") && !is_url(" s3://x"));
    }

    #[test]
    fn a_relative_name_begins_with_its_folder_where_there_are_several() {
        let root = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(root.path()).unwrap();
        let folders: Vec<PathBuf> = ["shop", "logs", "old/shop"].iter().map(|name| root.join(name)).collect();
        for folder in &folders {
            fs::create_dir_all(folder).unwrap();
            fs::write(folder.join("a.csv"), "x").unwrap();
        }
        let path = |name: &str| root.join(name).to_str().unwrap().to_owned();
        let one = Folders::open(&folders[..1]).unwrap();
        assert_eq!(one.existing("a.csv").unwrap(), path("shop/a.csv"));
        assert_eq!(one.within("new/b.csv").unwrap(), path("shop/new/b.csv"));
        let two = Folders::open(&folders[..2]).unwrap();
        for name in ["logs/a.csv", "./logs/a.csv", &path("logs/a.csv")] {
            assert_eq!(two.existing(name).unwrap(), path("logs/a.csv"));
        }
        let message = two.existing("a.csv").unwrap_err().to_string();
        assert!(message.contains("'a.csv' is not in what is served") && message.contains("/shop', '"), "{message}");
        let three = Folders::open(&folders).unwrap();
        let message = three.existing("shop/a.csv").unwrap_err().to_string();
        assert!(message.contains("several served folders are named 'shop'"), "{message}");
        assert!(three.existing(&path("old/shop/a.csv")).is_ok());
    }

    #[test]
    fn a_folder_that_cannot_be_served_is_named() {
        for (name, said) in
            [("/no/such/folder", "cannot be served"), ("a*b", "characters of patterns"), ("Cargo.toml", "not a folder")]
        {
            let message = Folders::open(&[PathBuf::from(name)]).unwrap_err().to_string();
            assert!(message.contains(name) && message.contains(said), "{message}");
        }
    }
}
