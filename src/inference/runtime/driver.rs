//! NVIDIA's driver: gives the name of the first GPU, or why there is none. Called before anything of CUDA is loaded or
//! installed.
//!
//! Function names and codes are those of the CUDA driver API.

use std::ffi::{CStr, c_char, c_int, c_uint};

use libloading::Library;

const LIBRARY: &str = if cfg!(windows) { "nvcuda.dll" } else { "libcuda.so.1" };
const NO_DEVICE: c_int = 100;

/// The name of the first GPU.
///
/// # Errors
/// Why there is none, as the rest of a sentence.
pub(super) fn gpu() -> Result<String, String> {
    if cfg!(target_os = "macos") {
        return Err("macOS has no CUDA".to_owned());
    }
    // SAFETY: loading the driver runs its initialisers, which any program that uses the GPU does.
    let driver = unsafe { Library::new(LIBRARY) }
        .map_err(|error| format!("there is no NVIDIA driver on this machine ({})", reason(&error)))?;
    let name = first_device(&driver);
    // A driver that was started keeps threads of its own: it must stay loaded.
    std::mem::forget(driver);
    name
}

/// What the system's loader says; the library says only that it failed.
fn reason(error: &libloading::Error) -> String {
    use std::error::Error as _;
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

fn first_device(driver: &Library) -> Result<String, String> {
    let missing = |error: libloading::Error| format!("'{LIBRARY}' is not NVIDIA's driver ({error})");
    let check = |code: c_int, call: &str| match code {
        0 => Ok(()),
        NO_DEVICE => Err("NVIDIA's driver finds no GPU (or CUDA_VISIBLE_DEVICES hides it)".to_owned()),
        _ => Err(format!("NVIDIA's driver fails: {call} returned {code}")),
    };
    let mut name: [c_char; 256] = [0; 256];
    let mut device: c_int = 0;
    // SAFETY: the signatures are those of the driver API, the pointers are valid for the calls, and the buffer's length
    // is given.
    unsafe {
        let init = driver.get::<unsafe extern "system" fn(c_uint) -> c_int>(b"cuInit\0").map_err(missing)?;
        let get =
            driver.get::<unsafe extern "system" fn(*mut c_int, c_int) -> c_int>(b"cuDeviceGet\0").map_err(missing)?;
        let get_name = driver
            .get::<unsafe extern "system" fn(*mut c_char, c_int, c_int) -> c_int>(b"cuDeviceGetName\0")
            .map_err(missing)?;
        check(init(0), "cuInit")?;
        check(get(&mut device, 0), "cuDeviceGet")?;
        check(get_name(name.as_mut_ptr(), name.len() as c_int - 1, device), "cuDeviceGetName")?;
    }
    // SAFETY: the last byte was left zero.
    Ok(unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned())
}
