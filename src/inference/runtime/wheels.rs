//! The pinned wheels that carry the runtime: data only. The hashes are those of PyPI's files.

use crate::fetch::wheel::{Build, Member, Wheel};

const LICENSE: Member = Member { from: "onnxruntime/LICENSE", to: "LICENSE" };
const NOTICES: Member = Member { from: "onnxruntime/ThirdPartyNotices.txt", to: "ThirdPartyNotices.txt" };
const LINUX: Member = Member { from: "onnxruntime/capi/libonnxruntime.so.1.31.1", to: "libonnxruntime.so.1.31.1" };
const LINUX_SHARED: Member =
    Member { from: "onnxruntime/capi/libonnxruntime_providers_shared.so", to: "libonnxruntime_providers_shared.so" };
const LINUX_CUDA: Member =
    Member { from: "onnxruntime/capi/libonnxruntime_providers_cuda.so", to: "libonnxruntime_providers_cuda.so" };
const MACOS: Member =
    Member { from: "onnxruntime/capi/libonnxruntime.1.31.1.dylib", to: "libonnxruntime.1.31.1.dylib" };
const WINDOWS: Member = Member { from: "onnxruntime/capi/onnxruntime.dll", to: "onnxruntime.dll" };
const WINDOWS_SHARED: Member =
    Member { from: "onnxruntime/capi/onnxruntime_providers_shared.dll", to: "onnxruntime_providers_shared.dll" };
const WINDOWS_CUDA: Member =
    Member { from: "onnxruntime/capi/onnxruntime_providers_cuda.dll", to: "onnxruntime_providers_cuda.dll" };

/// The name of the library in the folder that a wheel is unpacked into.
pub(super) const LIBRARY: &str = if cfg!(windows) {
    "onnxruntime.dll"
} else if cfg!(target_os = "macos") {
    "libonnxruntime.1.31.1.dylib"
} else {
    "libonnxruntime.so.1.31.1"
};

/// The runtime for the CPU.
pub(super) const CPU: Wheel = Wheel {
    package: "onnxruntime",
    version: "1.31.1",
    cure: "set ORT_DYLIB_PATH to the libonnxruntime of your own installation",
    builds: &[
        Build {
            machine: Some(("linux", "x86_64")),
            platform: "manylinux_2_28_x86_64",
            file: "onnxruntime-1.31.1-cp312-cp312-manylinux_2_28_x86_64.whl",
            sha256: "1f3dea47f2f0e5117c2404cea7d21fd253ae7836a3bf167a501cdfbb2600d536",
            bytes: 23_760_988,
            members: &[LINUX, LINUX_SHARED, LICENSE, NOTICES],
        },
        Build {
            machine: Some(("linux", "aarch64")),
            platform: "manylinux_2_28_aarch64",
            file: "onnxruntime-1.31.1-cp312-cp312-manylinux_2_28_aarch64.whl",
            sha256: "0b9a492176886992e0e875f06bc0367e333f5fff11711a2d642e18b02f3009cc",
            bytes: 21_420_803,
            members: &[LINUX, LINUX_SHARED, LICENSE, NOTICES],
        },
        Build {
            machine: Some(("macos", "aarch64")),
            platform: "macosx_14_0_arm64",
            file: "onnxruntime-1.31.1-cp312-cp312-macosx_14_0_arm64.whl",
            sha256: "96dd2564b10ea7153ad9c207e7cd8e5917cb3ba521e0e0a62ac03486fdc8d56c",
            bytes: 20_882_125,
            members: &[MACOS, LICENSE, NOTICES],
        },
        Build {
            machine: Some(("windows", "x86_64")),
            platform: "win_amd64",
            file: "onnxruntime-1.31.1-cp312-cp312-win_amd64.whl",
            sha256: "ae8a9a351efda685cc59a66226cdefaa37a126c1d66872ca23a2de9425326130",
            bytes: 14_888_466,
            members: &[WINDOWS, WINDOWS_SHARED, LICENSE, NOTICES],
        },
    ],
};

/// The runtime with CUDA.
pub(super) const CUDA: Wheel = Wheel {
    package: "onnxruntime-gpu",
    version: "1.31.1",
    cure: "set ORT_DYLIB_PATH to a libonnxruntime with CUDA, or SET debut.device = 'cpu'",
    builds: &[
        Build {
            machine: Some(("linux", "x86_64")),
            platform: "manylinux_2_28_x86_64",
            file: "onnxruntime_gpu-1.31.1-cp312-cp312-manylinux_2_28_x86_64.whl",
            sha256: "05d548956197b9d01f59b625de740e0d6be3593f874e241a12dc0362650ecdf7",
            bytes: 255_569_273,
            members: &[LINUX, LINUX_SHARED, LINUX_CUDA, LICENSE, NOTICES],
        },
        Build {
            machine: Some(("windows", "x86_64")),
            platform: "win_amd64",
            file: "onnxruntime_gpu-1.31.1-cp312-cp312-win_amd64.whl",
            sha256: "2bb1e9373baba88f6415257f5b6a589d23e23c16004f7d89adf4344eada5749e",
            bytes: 168_098_228,
            members: &[WINDOWS, WINDOWS_SHARED, WINDOWS_CUDA, LICENSE, NOTICES],
        },
    ],
};
