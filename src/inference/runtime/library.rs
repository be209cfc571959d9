//! Which library: takes the environment, the cache and the device that is asked for, gives the path of an ONNX Runtime,
//! installing it if need be.

use std::env;
use std::ffi::{CStr, OsString};
use std::path::{Path, PathBuf};

use debut_udfs::config::Device;
use libloading::Library as Dynamic;

use super::{Error, driver, wheels};
use crate::fetch::files::Staging;
use crate::fetch::lock::Lock;
use crate::fetch::wheel::Wheel;
use crate::fetch::{self, Progress};
use crate::home::Home;

/// The environment variable that names a library of the user's own.
pub const VARIABLE: &str = "ORT_DYLIB_PATH";

/// A library that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Library {
    /// Its file.
    pub path: PathBuf,
    /// How it was found, for people.
    pub origin: &'static str,
}

/// What the caller's environment says, so that tests need not change the process's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Search<'a> {
    pub(super) home: &'a Home,
    /// `ORT_DYLIB_PATH`.
    pub(super) variable: Option<&'a OsString>,
    pub(super) device: Device,
    /// Whether there is an NVIDIA GPU; asked only where the answer matters.
    pub(super) has_gpu: fn() -> bool,
}

impl Search<'_> {
    /// The library that is there already.
    ///
    /// # Errors
    /// `ORT_DYLIB_PATH` names nothing.
    pub(super) fn find(&self) -> Result<Option<Library>, Error> {
        if let Some(library) = self.variable.map(named).transpose()? {
            return Ok(Some(library));
        }
        let cpu = || installed(self.home, &wheels::CPU);
        let cuda = || installed(self.home, &wheels::CUDA);
        Ok(match self.device {
            Device::Cuda => cuda(),
            Device::Auto if cuda().is_some() && (self.has_gpu)() => cuda(),
            // The library with CUDA runs on the CPU as well.
            Device::Auto | Device::Cpu => cpu().or_else(cuda),
        })
    }

    /// The library that is there, or else a new one.
    ///
    /// # Errors
    /// `ORT_DYLIB_PATH` names nothing; there is no GPU to install CUDA's library for; or it cannot be installed.
    pub(super) fn find_or_install(&self, offline: bool, progress: &Progress<'_>) -> Result<Library, Error> {
        if let Some(library) = self.find()? {
            return Ok(library);
        }
        let wheel = match self.device {
            Device::Cuda => {
                // A quarter of a gigabyte is not fetched for a machine that cannot use it.
                driver::gpu().map_err(Error::NoCuda)?;
                &wheels::CUDA
            }
            Device::Auto | Device::Cpu => &wheels::CPU,
        };
        install(self.home, wheel, offline, progress).map_err(Error::Install)
    }
}

/// The library of the user's own.
fn named(path: &OsString) -> Result<Library, Error> {
    let origin = VARIABLE;
    let path = PathBuf::from(path);
    if path.is_file() {
        // What is loaded should not depend on the working folder, and ort looks beside the executable.
        let path = std::path::absolute(&path).unwrap_or(path);
        return Ok(Library { path, origin });
    }
    // A name without folders is looked up by the system's loader.
    if path.components().count() == 1 && path.extension().is_some() {
        return Ok(Library { path, origin });
    }
    Err(Error::NoSuchLibrary { path })
}

/// The folder of a wheel's library under [`Home::runtimes`].
fn folder(home: &Home, wheel: &Wheel) -> PathBuf {
    home.runtimes().join(format!("{}-{}", wheel.package, wheel.version))
}

fn installed(home: &Home, wheel: &Wheel) -> Option<Library> {
    let path = folder(home, wheel).join(wheels::LIBRARY);
    // A relative home means the working folder; ort would look beside the executable first.
    let path = std::path::absolute(&path).unwrap_or(path);
    path.is_file().then_some(Library { path, origin: "installed by Debut" })
}

fn install(home: &Home, wheel: &Wheel, offline: bool, progress: &Progress<'_>) -> fetch::Result<Library> {
    let target = folder(home, wheel);
    if offline {
        let what = format!("{} {}", wheel.package, wheel.version);
        return Err(fetch::Error::Offline { what, cure: wheel.cure.to_owned() });
    }
    let _lock = Lock::acquire(home, &format!("runtime-{}", wheel.package), progress)?;
    // Another process may have installed it while this one waited.
    if let Some(library) = installed(home, wheel) {
        return Ok(library);
    }
    // A folder without its library is of no use to anybody.
    fetch::files::remove_folder(&target)?;
    let staging = Staging::beside(&target)?;
    wheel.unpack_into(staging.path(), offline, progress)?;
    staging.publish()?;
    progress(&format!("installed {} in {}", wheel.requirement(), target.display()));
    let path = target.join(wheels::LIBRARY);
    installed(home, wheel).ok_or_else(|| fetch::Error::io("read", &path)(std::io::ErrorKind::NotFound.into()))
}

/// The version of a library, checked to be one that `ort` can use: everything that would make `ort` panic is found here.
///
/// # Errors
/// [`Error::Load`] or [`Error::Version`].
pub(super) fn version(library: &Library) -> Result<String, Error> {
    let Library { path, origin } = library;
    let failed = |reason: String| Error::Load { path: path.clone(), origin, reason };
    // SAFETY: loading a library runs its initialisers; the user or the checksum vouches for it.
    let dynamic = unsafe { Dynamic::new(path) }.map_err(|error| failed(message(&error, path)))?;
    // SAFETY: the symbol has this type in every ONNX Runtime.
    let base = unsafe {
        dynamic
            .get::<unsafe extern "system" fn() -> *const ort::sys::OrtApiBase>(b"OrtGetApiBase\0")
            .map(|get| get())
            .map_err(|_| failed("it is not ONNX Runtime: it has no OrtGetApiBase".to_owned()))?
    };
    // SAFETY: a pointer that is not null points to the library's own static table.
    let Some(base) = (unsafe { base.as_ref() }) else {
        return Err(failed("its OrtGetApiBase gives nothing".to_owned()));
    };
    // SAFETY: the table's functions take what is given here; the text is static and ends with zero.
    let version = unsafe { CStr::from_ptr((base.GetVersionString)()) }.to_string_lossy().into_owned();
    // SAFETY: as above. A null pointer says that this version of the interface is not there.
    let api = unsafe { (base.GetApi)(ort::sys::ORT_API_VERSION) };
    let minor = version.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok());
    if api.is_null() || minor.is_none_or(|minor| minor < ort::MINOR_VERSION) {
        let needed = format!("1.{}", ort::MINOR_VERSION);
        return Err(Error::Version { path: path.clone(), origin, version, needed });
    }
    Ok(version)
}

/// What the loader says, without the path that the error names already.
fn message(error: &libloading::Error, path: &Path) -> String {
    use std::error::Error as _;
    let text = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    text.strip_prefix(&format!("{}: ", path.display())).unwrap_or(&text).to_owned()
}

/// Reads [`VARIABLE`].
pub(super) fn variable() -> Option<OsString> {
    env::var_os(VARIABLE).filter(|value| !value.is_empty())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs;

    use super::*;
    use crate::fetch::silent;

    fn put(home: &Home, wheel: &Wheel) -> PathBuf {
        let path = folder(home, wheel).join(wheels::LIBRARY);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "").unwrap();
        path
    }

    fn search<'a>(home: &'a Home, device: Device, has_gpu: fn() -> bool) -> Search<'a> {
        Search { home, variable: None, device, has_gpu }
    }

    #[test]
    fn the_cache_is_searched_for_what_fits_the_device() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        let find = |device, has_gpu| search(&home, device, has_gpu).find().unwrap().map(|library| library.path);
        assert_eq!(find(Device::Auto, || true), None);

        let cuda = put(&home, &wheels::CUDA);
        assert_eq!(find(Device::Cuda, || true), Some(cuda.clone()));
        assert_eq!(find(Device::Auto, || true), Some(cuda.clone()));
        assert_eq!(find(Device::Cpu, || true), Some(cuda.clone()));

        let cpu = put(&home, &wheels::CPU);
        assert_eq!(find(Device::Cpu, || true), Some(cpu.clone()));
        assert_eq!(find(Device::Auto, || true), Some(cuda));
        assert_eq!(find(Device::Auto, || false), Some(cpu));
    }

    #[test]
    fn a_library_of_the_users_own_comes_first_and_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        put(&home, &wheels::CPU);
        let own = folder.path().join("own.so");
        let variable = own.clone().into_os_string();
        let search = Search { variable: Some(&variable), ..search(&home, Device::Auto, || false) };
        let message = search.find().unwrap_err().to_string();
        assert!(message.contains(VARIABLE) && message.contains("own.so"), "{message}");
        fs::write(&own, "no library").unwrap();
        let library = search.find().unwrap().unwrap();
        assert_eq!(library, Library { path: own, origin: VARIABLE });
        let message = version(&library).unwrap_err().to_string();
        assert!(message.contains("own.so") && message.contains(VARIABLE), "{message}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_library_that_is_not_the_runtime_is_an_error_and_no_panic() {
        let library = Library { path: "libm.so.6".into(), origin: VARIABLE };
        let message = version(&library).unwrap_err().to_string();
        assert!(message.contains("it is not ONNX Runtime"), "{message}");
    }

    #[test]
    fn offline_nothing_is_installed_and_the_error_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().join("home"));
        let error = search(&home, Device::Cpu, || false).find_or_install(true, &silent).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("onnxruntime 1.31.1") && message.contains("ORT_DYLIB_PATH"), "{message}");
        assert!(!home.root().exists());
    }
}
