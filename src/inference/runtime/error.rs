//! What can go wrong before a model can run: the library, the device.

use std::path::PathBuf;

use crate::fetch;

/// Errors of [`super`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `ORT_DYLIB_PATH` names nothing.
    #[error("ORT_DYLIB_PATH is set to '{}', which is not a file: correct it, or unset it to let Debut install one", path.display())]
    NoSuchLibrary {
        /// What it is set to.
        path: PathBuf,
    },
    /// The library cannot be loaded.
    #[error("cannot load ONNX Runtime from '{}' ({origin}): {reason}", path.display())]
    Load {
        /// The library.
        path: PathBuf,
        /// How it was found.
        origin: &'static str,
        /// Why not.
        reason: String,
    },
    /// The library is too old.
    #[error(
        "'{}' ({origin}) is ONNX Runtime {version}, and Debut needs {needed} or newer: install a newer one, or unset \
         ORT_DYLIB_PATH to let Debut install one",
        path.display()
    )]
    Version {
        /// The library.
        path: PathBuf,
        /// How it was found.
        origin: &'static str,
        /// Its version.
        version: String,
        /// The oldest that will do.
        needed: String,
    },
    /// There is no library and none could be installed.
    #[error("ONNX Runtime is missing: {0}")]
    Install(#[source] fetch::Error),
    /// The runtime loaded, but would not start.
    #[error("ONNX Runtime {version} from '{}' does not start: {source}", path.display())]
    Start {
        /// The library.
        path: PathBuf,
        /// Its version.
        version: String,
        /// The reason.
        source: ort::Error,
    },
    /// Another library than the one that is loaded was asked for.
    #[error(
        "this process already runs ONNX Runtime from '{}', and {wanted}; a process loads one library: set the device \
         or ORT_DYLIB_PATH before the first model is used, and start again",
        loaded.display()
    )]
    Loaded {
        /// The library in use.
        loaded: PathBuf,
        /// What was asked for.
        wanted: String,
    },
    /// CUDA was asked for and cannot be used.
    #[error("debut.device is 'cuda', but {0}")]
    NoCuda(String),
}
