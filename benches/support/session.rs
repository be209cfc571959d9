//! A session of SQL in a home of its own, with the default model and the runtimes of the user's.

use std::path::Path;
use std::sync::Arc;

use debut::engine::{Access, Engine, EngineOptions, Session};
use debut::home::Home;
use debut::inference::Models;
use debut::registry::Registry;
use debut_udfs::config::{DEFAULT_MODEL, Switch};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// A session without a cache, in a home of its own in `folder`.
///
/// # Errors
/// The default model is not there and cannot be fetched, or the folder cannot be written.
pub(crate) fn open(folder: &Path) -> Result<Session> {
    let (shared, own) = (Home::from_env(), Home::at(folder.join("home")));
    let model = Registry::open(&shared).resolve_or_install(DEFAULT_MODEL, false, &debut::fetch::silent)?;
    let model = model.path.parent().and_then(Path::parent).ok_or("the default model has no folder")?;
    std::fs::create_dir_all(own.models())?;
    std::fs::create_dir_all(shared.runtimes())?;
    std::os::unix::fs::symlink(shared.runtimes(), own.runtimes())?;
    std::os::unix::fs::symlink(model, own.models().join(model.file_name().ok_or("the model has no name")?))?;
    let options = EngineOptions { cache: Switch::Off, ..EngineOptions::default() };
    let engine = Engine::open(Arc::new(Models::new(own)), &options)?;
    Ok(engine.session(&Access::everything())?)
}
