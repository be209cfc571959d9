//! The files of a Delta table's log, on the disk before anybody sees them.
//!
//! Takes what the Delta library reads and writes below the folder of one table; gives local files. A file that is written is on the
//! disk when it has its name, and so is the name when the writing has ended: after a power failure too, the log has an entry or not.

use std::fmt::{self, Display};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::common::runtime::SpawnedTask;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt, future};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

use crate::staging::{parent, sync_folder};

/// The store of one table. Paths are those of the file system.
#[derive(Debug, Clone)]
pub(super) struct SyncedStore {
    files: Arc<LocalFileSystem>,
    table: Path,
}

impl SyncedStore {
    /// A store of the files below `folder`, which is absolute.
    ///
    /// # Errors
    /// Its path is no text.
    pub(super) fn new(folder: &FilePath) -> Result<Self> {
        Ok(Self { files: Arc::new(LocalFileSystem::new()), table: Path::from_absolute_path(folder)? })
    }

    /// Refuses a path outside: a log may name any.
    fn permit(&self, location: &Path) -> Result<()> {
        if location.prefix_matches(&self.table) {
            return Ok(());
        }
        let source = format!("it is not below /{}", self.table).into();
        Err(Error::PermissionDenied { path: format!("/{location}"), source })
    }
}

impl Display for SyncedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SyncedStore({})", self.table)
    }
}

#[async_trait]
impl ObjectStore for SyncedStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.permit(location)?;
        let path = self.files.path_to_filesystem(location)?;
        let written = SpawnedTask::spawn_blocking(move || write(&path, &payload, &options.mode).map_err(|e| (path, e)));
        match written.await.map_err(|source| Error::JoinError { source })? {
            Ok(()) => Ok(PutResult { e_tag: None, version: None }),
            Err((path, source)) if source.kind() == ErrorKind::AlreadyExists => {
                Err(Error::AlreadyExists { path: path.display().to_string(), source: source.into() })
            }
            Err((path, source)) => {
                let source = format!("cannot write '{}': {source}", path.display()).into();
                Err(Error::Generic { store: "SyncedStore", source })
            }
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        _options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.permit(location)?;
        Ok(Box::new(Upload { store: self.clone(), location: location.clone(), parts: Vec::new() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.permit(location)?;
        self.files.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let permitted = locations.and_then(move |location| future::ready(store.permit(&location).map(|()| location)));
        self.files.delete_stream(permitted.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.permit(prefix.unwrap_or(&Path::default())) {
            Ok(()) => self.files.list(prefix),
            Err(error) => future::ready(Err(error)).into_stream().boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.permit(prefix.unwrap_or(&Path::default()))?;
        self.files.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _from: &Path, _to: &Path, _options: CopyOptions) -> Result<()> {
        let operation = "to copy files of a log".to_owned();
        Err(Error::NotImplemented { operation, implementer: self.to_string() })
    }
}

/// A file that comes in parts. The files of a log are small: it is written as a whole.
#[derive(Debug)]
struct Upload {
    store: SyncedStore,
    location: Path,
    parts: Vec<PutPayload>,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, part: PutPayload) -> UploadPart {
        self.parts.push(part);
        future::ready(Ok(())).boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let whole: PutPayload = self.parts.drain(..).flatten().collect();
        self.store.put_opts(&self.location, whole, PutOptions::default()).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.parts.clear();
        Ok(())
    }
}

/// Writes a file under another name, and gives it its own when it is on the disk. Nobody else writes into the folder: the refresh
/// has the lock of the table.
fn write(path: &FilePath, payload: &PutPayload, mode: &PutMode) -> io::Result<()> {
    let folder = parent(path);
    fs::create_dir_all(folder)?;
    // A name that a listing leaves out.
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push("#0");
    let unfinished = PathBuf::from(unfinished);
    let mut file = File::create(&unfinished)?;
    payload.iter().try_for_each(|bytes| file.write_all(bytes))?;
    file.sync_all()?;
    match mode {
        PutMode::Overwrite => fs::rename(&unfinished, path)?,
        PutMode::Create => {
            // Who makes a link of a name that is there already gets an error: another writer was faster.
            let linked = fs::hard_link(&unfinished, path);
            fs::remove_file(&unfinished)?;
            linked?;
        }
        PutMode::Update(_) => return Err(ErrorKind::Unsupported.into()),
    }
    sync_folder(folder)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use object_store::ObjectStoreExt;

    use super::*;

    #[tokio::test]
    async fn an_entry_is_made_once_and_only_in_the_table() {
        let root = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(root.path()).unwrap();
        fs::create_dir(root.join("t")).unwrap();
        fs::write(root.join("outside"), "1").unwrap();
        let store = SyncedStore::new(&root.join("t")).unwrap();
        let at = |name: &str| Path::from_absolute_path(root.join(name)).unwrap();
        let create = || PutOptions::from(PutMode::Create);
        store.put_opts(&at("t/log/0"), "first".into(), create()).await.unwrap();
        let second = store.put_opts(&at("t/log/0"), "second".into(), create()).await.unwrap_err();
        assert!(matches!(second, Error::AlreadyExists { .. }), "{second}");
        assert_eq!(fs::read_to_string(root.join("t/log/0")).unwrap(), "first");
        store.put(&at("t/log/last"), "1".into()).await.unwrap();
        store.put(&at("t/log/last"), "2".into()).await.unwrap();
        let mut upload = store.put_multipart(&at("t/log/parts")).await.unwrap();
        for part in ["a", "b"] {
            upload.put_part(part.into()).await.unwrap();
        }
        assert!(!root.join("t/log/parts").exists());
        upload.complete().await.unwrap();
        assert_eq!(fs::read_to_string(root.join("t/log/parts")).unwrap(), "ab");
        assert_eq!(fs::read_dir(root.join("t/log")).unwrap().count(), 3, "nothing unfinished is left");
        for failure in [
            store.get(&at("outside")).await.map(drop),
            store.put(&at("outside"), "2".into()).await.map(drop),
            store.put_multipart(&at("outside")).await.map(drop),
            store.delete(&at("outside")).await,
            store.list(Some(&at(""))).try_collect::<Vec<_>>().await.map(drop),
        ] {
            assert!(failure.unwrap_err().to_string().contains("is not below"));
        }
        assert_eq!(fs::read_to_string(root.join("outside")).unwrap(), "1");
    }
}
