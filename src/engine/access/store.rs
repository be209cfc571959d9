//! The object store of a served session: the local files of its folders.
//!
//! Takes the paths that DataFusion reads, lists and writes; gives what the local file system has there, if the path is in a
//! folder that is served when its symbolic links are followed. Every reading and writing of a table passes through here,
//! whatever statement named it.

use std::fmt::{self, Display};
use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::common::runtime::SpawnedTask;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

use super::folders::Folders;

/// The store.
#[derive(Debug, Clone)]
pub(super) struct ServedStore {
    files: Arc<LocalFileSystem>,
    folders: Arc<Folders>,
    writable: bool,
}

impl ServedStore {
    /// A store of the files in `folders`.
    pub(super) fn new(folders: Arc<Folders>, writable: bool) -> Self {
        Self { files: Arc::new(LocalFileSystem::new()), folders, writable }
    }

    /// Refuses a path outside; the error is that of a file that does not exist.
    async fn permit(&self, location: &Path) -> Result<()> {
        let store = self.clone();
        let path = location.clone();
        let permitted = SpawnedTask::spawn_blocking(move || store.contains(&path)).await;
        match permitted {
            Ok(true) => Ok(()),
            _ => Err(self.refused(location)),
        }
    }

    async fn permit_writing(&self, location: &Path) -> Result<()> {
        if !self.writable {
            let source = "this session may only read".into();
            return Err(Error::PermissionDenied { path: format!("/{location}"), source });
        }
        self.permit(location).await
    }

    fn contains(&self, location: &Path) -> bool {
        self.files.path_to_filesystem(location).is_ok_and(|path| self.folders.contains(&path))
    }

    fn refused(&self, location: &Path) -> Error {
        let path = format!("/{location}");
        let source = self.folders.refused(&path).into();
        Error::NotFound { path, source }
    }

    /// A level of a listing, without what leads outside, and the folders below it.
    async fn level(self, folder: Folder) -> Result<(Vec<ObjectMeta>, Vec<Folder>)> {
        let mut listed = self.files.list_with_delimiter(folder.path.as_ref()).await?;
        let store = self.clone();
        let level = SpawnedTask::spawn_blocking(move || {
            listed.objects.retain(|object| store.is_inside(&object.location));
            let below = listed.common_prefixes.into_iter().filter_map(|path| store.enter(&folder, path));
            (listed.objects, below.collect())
        });
        level.await.map_err(|source| Error::JoinError { source })
    }

    /// Whether what a folder inside holds is inside too: only a link leads elsewhere.
    fn is_inside(&self, location: &Path) -> bool {
        let Ok(path) = self.files.path_to_filesystem(location) else { return false };
        fs::symlink_metadata(&path).is_ok_and(|found| !found.is_symlink() || self.folders.contains(&path))
    }

    /// A folder below another one, unless it leads outside or back.
    fn enter(&self, above: &Folder, path: Path) -> Option<Folder> {
        let place = self.files.path_to_filesystem(&path).ok()?;
        let mut entered = above.entered.clone();
        if fs::symlink_metadata(&place).ok()?.is_symlink() {
            let target = fs::canonicalize(&place).ok().filter(|_| self.folders.contains(&place))?;
            entered.push(fs::canonicalize(place.parent()?).ok()?);
            if entered.iter().any(|folder| folder.starts_with(&target)) {
                return None;
            }
        }
        Some(Folder { path: Some(path), entered })
    }
}

/// A folder that is listed.
#[derive(Debug, Clone)]
struct Folder {
    path: Option<Path>,
    /// The folders whose links led here.
    entered: Vec<PathBuf>,
}

impl Display for ServedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServedStore")
    }
}

#[async_trait]
impl ObjectStore for ServedStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.permit_writing(location).await?;
        self.files.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.permit_writing(location).await?;
        self.files.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.permit(location).await?;
        self.files.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.permit(location).await?;
        self.files.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let permitted = locations.and_then(move |location| {
            let store = store.clone();
            async move { store.permit_writing(&location).await.map(|()| location) }
        });
        self.files.delete_stream(permitted.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let root = prefix.cloned().unwrap_or_default();
        let store = self.clone();
        let open = vec![Folder { path: Some(root.clone()), entered: Vec::new() }];
        let levels = stream::try_unfold((store, open, Some(root)), |(store, mut open, first)| async move {
            if let Some(root) = first {
                store.permit(&root).await?;
            }
            let Some(folder) = open.pop() else { return Ok(None) };
            let (objects, below) = store.clone().level(folder).await?;
            open.extend(below);
            Ok::<_, Error>(Some((objects, (store, open, None))))
        });
        levels.map_ok(|objects| stream::iter(objects.into_iter().map(Ok))).try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let folder = Folder { path: prefix.cloned(), entered: Vec::new() };
        self.permit(&prefix.cloned().unwrap_or_default()).await?;
        let (objects, below) = self.clone().level(folder).await?;
        Ok(ListResult { objects, common_prefixes: below.into_iter().filter_map(|folder| folder.path).collect() })
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.permit(from).await?;
        self.permit_writing(to).await?;
        self.files.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.permit_writing(from).await?;
        self.permit_writing(to).await?;
        self.files.rename_opts(from, to, options).await
    }
}
