//! ONNX Runtime itself: takes the device that is asked for, gives the one runtime of this process and the place where
//! models run.
//!
//! The library is looked for in `ORT_DYLIB_PATH`, then in the cache, then installed from a pinned wheel. A process loads
//! one library, for ever: the first model that is used decides which.

mod driver;
mod error;
mod library;
mod wheels;

use std::fmt::{self, Display};
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use debut_udfs::config::Device;
use ort::environment::Environment;
use ort::ep::{CUDA, ExecutionProvider};
use ort::session::Session;

use crate::fetch::Progress;
use crate::home::Home;

pub use error::Error;
pub use library::{Library, VARIABLE};

static RUNTIME: OnceLock<Runtime> = OnceLock::new();
static LOADING: Mutex<()> = Mutex::new(());

/// The runtime of this process.
#[derive(Debug)]
pub struct Runtime {
    library: Library,
    version: String,
    environment: Environment,
    /// The first GPU's name, or why CUDA cannot be used; found out when first asked for.
    cuda: OnceLock<Result<String, String>>,
}

/// Where models run, and why there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The hardware.
    pub target: Target,
    /// Why, for people: `there is no NVIDIA driver on this machine`. Empty where it is what was asked for.
    pub reason: String,
}

/// Hardware.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// The CPU.
    Cpu,
    /// The first NVIDIA GPU.
    Cuda {
        /// Its name.
        name: String,
    },
}

impl Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda { name } => write!(f, "cuda:0 ({name})"),
        }
    }
}

impl Runtime {
    /// The runtime of this process, loaded (and installed, unless `offline`) at the first call.
    ///
    /// # Errors
    /// No library can be found or installed, it cannot be loaded, or another one is loaded already. A failed call leaves
    /// nothing behind: the next one tries again.
    pub fn load(home: &Home, device: Device, offline: bool, progress: &Progress<'_>) -> Result<&'static Self, Error> {
        // A panic while loading leaves the runtime unset, so that the lock protects nothing that could be broken.
        let _loading = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = RUNTIME.get() {
            runtime.check(library::variable().as_deref().map(Path::new), device)?;
            return Ok(runtime);
        }
        let variable = library::variable();
        let search = search(home, variable.as_ref(), device);
        let library = search.find_or_install(offline, progress)?;
        let runtime = Self::start(library)?;
        Ok(RUNTIME.get_or_init(|| runtime))
    }

    /// The runtime of this process if it is loaded.
    pub fn loaded() -> Option<&'static Self> {
        RUNTIME.get()
    }

    /// The library that [`Self::load`] would take; nothing is loaded or installed.
    ///
    /// # Errors
    /// `ORT_DYLIB_PATH` names nothing.
    pub fn find(home: &Home, device: Device) -> Result<Option<Library>, Error> {
        search(home, library::variable().as_ref(), device).find()
    }

    /// The version of a library that was found, checked to be one that can be used.
    ///
    /// # Errors
    /// It cannot be loaded, is not ONNX Runtime, or too old.
    pub fn version_of(library: &Library) -> Result<String, Error> {
        library::version(library)
    }

    /// The name of the first NVIDIA GPU.
    ///
    /// # Errors
    /// Why there is none, as the rest of a sentence.
    pub fn gpu() -> Result<String, String> {
        driver::gpu()
    }

    fn start(library: Library) -> Result<Self, Error> {
        let version = library::version(&library)?;
        let builder = ort::init_from(&library.path).map_err(|error| Error::Load {
            path: library.path.clone(),
            origin: library.origin,
            reason: error.to_string(),
        })?;
        let environment = builder.with_name("debut").with_telemetry(false).build().map_err(|source| Error::Start {
            path: library.path.clone(),
            version: version.clone(),
            source,
        })?;
        Ok(Self { library, version, environment, cuda: OnceLock::new() })
    }

    /// Whether what is loaded is what is asked for.
    fn check(&self, variable: Option<&Path>, device: Device) -> Result<(), Error> {
        let loaded = || self.library.path.clone();
        if let Some(wanted) = variable
            && std::path::absolute(wanted).ok().as_deref() != Some(loaded().as_path())
            && wanted != loaded()
        {
            return Err(Error::Loaded {
                loaded: loaded(),
                wanted: format!("{VARIABLE} now names '{}'", wanted.display()),
            });
        }
        if device == Device::Cuda && !has_cuda() {
            let wanted = "debut.device is 'cuda', for which that library was not built".to_owned();
            return Err(Error::Loaded { loaded: loaded(), wanted });
        }
        Ok(())
    }

    /// The environment that sessions are made in.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The library.
    pub fn library(&self) -> &Library {
        &self.library
    }

    /// Its version: `1.31.1`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Execution providers that the library was built with and Debut can use.
    pub fn providers(&self) -> &'static [&'static str] {
        if has_cuda() { &["CUDA", "CPU"] } else { &["CPU"] }
    }

    /// Where a model runs when `device` is asked for. Never the CPU where CUDA was asked for.
    ///
    /// # Errors
    /// [`Error::NoCuda`] with the cause.
    pub fn place(&self, device: Device) -> Result<Placement, Error> {
        let cpu = |reason: String| Placement { target: Target::Cpu, reason };
        match device {
            Device::Cpu => Ok(cpu(String::new())),
            Device::Cuda => match self.cuda() {
                Ok(name) => Ok(Placement { target: Target::Cuda { name: name.clone() }, reason: String::new() }),
                Err(cause) => Err(Error::NoCuda(cause.clone())),
            },
            Device::Auto => Ok(match self.cuda() {
                Ok(name) => Placement {
                    target: Target::Cuda { name: name.clone() },
                    reason: "an NVIDIA GPU and the runtime for it are there".to_owned(),
                },
                Err(cause) => cpu(cause.clone()),
            }),
        }
    }

    fn cuda(&self) -> &Result<String, String> {
        self.cuda.get_or_init(|| {
            let name = driver::gpu()?;
            if !has_cuda() {
                return Err(format!(
                    "ONNX Runtime at '{}' was built without CUDA, though there is an {name}: to use it, start with \
                     SET debut.device = 'cuda'",
                    self.library.path.display()
                ));
            }
            // Registering the provider loads its library and everything of CUDA that it needs.
            Session::builder(&self.environment)
                .and_then(|builder| {
                    let provider = CUDA::default().build().error_on_failure();
                    builder.with_execution_providers([provider]).map_err(ort::Error::from)
                })
                .map(|_| name)
                .map_err(|error| format!("its library does not load (it needs CUDA 13 and cuDNN 9): {error}"))
        })
    }
}

fn search<'a>(home: &'a Home, variable: Option<&'a std::ffi::OsString>, device: Device) -> library::Search<'a> {
    library::Search { home, variable, device, has_gpu: || driver::gpu().is_ok() }
}

/// Whether the loaded library was built with CUDA. Called only after [`Runtime::start`]: it would load a library.
fn has_cuda() -> bool {
    CUDA::is_available().unwrap_or(false)
}
