//! The object store of a served session: the local files of its folders.
//!
//! Takes the paths that DataFusion reads, lists and writes; gives what the local file system has there, if the path is in a
//! folder that is served when its symbolic links are followed. Every reading and writing of a table passes through here,
//! whatever statement named it.

use std::fmt::{self, Display};
use std::fs;
use std::ops::Range;
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

    /// A level of a listing, without what leads outside. A link that leads back is an error of the file system's.
    async fn level(self, folder: Option<Path>) -> Result<ListResult> {
        let mut listed = self.files.list_with_delimiter(folder.as_ref()).await?;
        let level = SpawnedTask::spawn_blocking(move || {
            listed.objects.retain(|object| self.is_inside(&object.location));
            listed.common_prefixes.retain(|below| self.is_inside(below));
            listed
        });
        level.await.map_err(|source| Error::JoinError { source })
    }

    /// Whether what a folder inside holds is inside too: only a link leads elsewhere.
    fn is_inside(&self, location: &Path) -> bool {
        let Ok(path) = self.files.path_to_filesystem(location) else { return false };
        fs::symlink_metadata(&path).is_ok_and(|found| !found.is_symlink() || self.folders.contains(&path))
    }
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
        // Level by level: nothing that a link leads to outside is looked at.
        let open = vec![prefix.cloned().unwrap_or_default()];
        let levels = stream::try_unfold((self.clone(), open, true), |(store, mut open, first)| async move {
            let Some(folder) = open.pop() else { return Ok(None) };
            if first {
                store.permit(&folder).await?;
            }
            let ListResult { objects, common_prefixes } = store.clone().level(Some(folder)).await?;
            open.extend(common_prefixes);
            Ok::<_, Error>(Some((objects, (store, open, false))))
        });
        levels.map_ok(|objects| stream::iter(objects.into_iter().map(Ok))).try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.permit(&prefix.cloned().unwrap_or_default()).await?;
        self.clone().level(prefix.cloned()).await
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use object_store::ObjectStoreExt;

    use super::*;

    /// `served/a`, `outside/secret`, and links in `served` that lead to the latter, to nothing, and to `served/a`.
    fn folders() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        for name in ["served/below/deep", "outside"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        for name in ["served/a", "served/below/deep/b", "outside/secret"] {
            fs::write(root.join(name), "1").unwrap();
        }
        for (to, name) in
            [("../outside", "away"), ("../outside/secret", "away-file"), ("../nothing", "nothing"), ("a", "same")]
        {
            symlink(to, root.join("served").join(name)).unwrap();
        }
        (folder, root)
    }

    fn store(root: &std::path::Path, writable: bool) -> ServedStore {
        ServedStore::new(Arc::new(Folders::open(&[root.join("served")]).unwrap()), writable)
    }

    fn location(root: &std::path::Path, name: &str) -> Path {
        Path::from_absolute_path(root.join(name)).unwrap()
    }

    const OUTSIDE: [&str; 7] = [
        "outside/secret",
        "outside/none",
        "served/away/secret",
        "served/away-file",
        "served/away/none",
        "served/nothing",
        "",
    ];

    #[tokio::test]
    async fn what_is_outside_is_not_there() {
        let (_folder, root) = folders();
        let store = store(&root, true);
        for name in ["served/a", "served/same", "served/below/deep/b"] {
            assert_eq!(store.get(&location(&root, name)).await.unwrap().bytes().await.unwrap(), "1", "{name}");
        }
        let (inside, outside) = (location(&root, "served/a"), OUTSIDE.map(|name| location(&root, name)));
        for path in &outside {
            let failures = [
                store.get(path).await.map(drop),
                store.head(path).await.map(drop),
                store.get_ranges(path, &[0..1, 0..1]).await.map(drop),
                store.get_range(path, 0..1).await.map(drop),
                store.put(path, "2".into()).await.map(drop),
                store.put_multipart(path).await.map(drop),
                store.delete(path).await,
                store.copy(path, &inside).await,
                store.copy(&inside, path).await,
                store.rename(path, &inside).await,
                store.rename(&inside, path).await,
            ];
            for (operation, failure) in failures.into_iter().enumerate() {
                let error = failure.unwrap_err();
                assert!(matches!(error, Error::NotFound { .. }), "{path}, operation {operation}: {error}");
                assert!(error.to_string().contains("is not in what is served"), "{error}");
            }
        }
        assert_eq!(fs::read_dir(root.join("outside")).unwrap().count(), 1);
        assert_eq!(fs::read_to_string(root.join("outside/secret")).unwrap(), "1");
        assert_eq!(fs::read_to_string(root.join("served/a")).unwrap(), "1");
    }

    #[tokio::test]
    async fn a_listing_does_not_go_outside() {
        let (_folder, root) = folders();
        let store = store(&root, false);
        let listed = store.list(Some(&location(&root, "served"))).map_ok(|found| found.location);
        let mut listed: Vec<Path> = listed.try_collect().await.unwrap();
        listed.sort();
        assert_eq!(listed, ["served/a", "served/below/deep/b", "served/same"].map(|name| location(&root, name)));
        let level = store.list_with_delimiter(Some(&location(&root, "served"))).await.unwrap();
        assert_eq!(level.common_prefixes, [location(&root, "served/below")]);
        assert_eq!(level.objects.len(), 2);
        for name in ["outside", "served/away", "", "none"] {
            let path = location(&root, name);
            assert!(store.list(Some(&path)).try_collect::<Vec<_>>().await.is_err(), "{name}");
            assert!(store.list_with_delimiter(Some(&path)).await.is_err(), "{name}");
        }
        let nothing: Vec<ObjectMeta> = store.list(Some(&location(&root, "served/none"))).try_collect().await.unwrap();
        assert!(nothing.is_empty());
        symlink("../below", root.join("served/below/back")).unwrap();
        assert!(store.list(Some(&location(&root, "served"))).try_collect::<Vec<_>>().await.is_err(), "a circle ends");
        assert!(store.list(None).try_collect::<Vec<_>>().await.is_err());
    }

    #[tokio::test]
    async fn who_only_reads_writes_nowhere() {
        let (_folder, root) = folders();
        let (reader, path, new) = (store(&root, false), location(&root, "served/a"), location(&root, "served/new"));
        for failure in [
            reader.put(&new, "2".into()).await.map(drop),
            reader.put_multipart(&new).await.map(drop),
            reader.delete(&path).await,
            reader.copy(&path, &new).await,
            reader.rename(&path, &new).await,
        ] {
            assert!(failure.unwrap_err().to_string().contains("this session may only read"));
        }
        let writer = store(&root, true);
        writer.copy(&path, &new).await.unwrap();
        writer.delete(&path).await.unwrap();
        assert!(!root.join("served/a").exists() && root.join("served/new").exists());
    }
}
