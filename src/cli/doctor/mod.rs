//! `debut doctor`: what is there, what is missing, and what to do about it.
//!
//! Takes a look at the home, the machine and the runtime; gives a line for each thing on stdout, and status 0 when the
//! main job can run. Without `--install` it fetches and changes nothing.

mod machine;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use debut_udfs::config::{DEFAULT_MODEL, DebutConfig, Device};
use debut_udfs::model::ModelProvider;

use super::args::{Common, Doctor};
use super::error::{CliError, Result};
use super::progress::{Terminal, thousands};
use super::task::Tasks;
use super::{note, open};
use crate::engine::describe::chain;
use crate::fetch::files;
use crate::home::Home;
use crate::inference::runtime::Runtime;
use crate::registry::{Listed, Registry};

const INSTALL: &str = "debut doctor --install";

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    topic: &'static str,
    text: String,
    /// What to do, where something is not as it should be.
    cure: Option<String>,
    /// Whether the main job cannot run like this.
    fatal: bool,
}

impl Finding {
    fn good(topic: &'static str, text: impl Into<String>) -> Self {
        Self { topic, text: text.into(), cure: None, fatal: false }
    }

    fn odd(topic: &'static str, text: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { topic, text: text.into(), cure: Some(cure.into()), fatal: false }
    }

    fn bad(topic: &'static str, text: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { topic, text: text.into(), cure: Some(cure.into()), fatal: true }
    }
}

/// Installs if that was asked for, and reports.
///
/// # Errors
/// Stdout cannot be written. What is wrong with the machine is in the report.
pub(super) fn run(doctor: &Doctor, common: &Common, tasks: &Tasks, terminal: &Terminal) -> Result<ExitCode> {
    if doctor.install && common.offline {
        return Err(CliError::Usage("--install needs the network, and --offline (or DEBUT_OFFLINE) forbids it".into()));
    }
    if doctor.install
        && let Err(error) = install(common, tasks, terminal)
    {
        if matches!(error, CliError::Interrupted(_)) {
            return Err(error);
        }
        note(format_args!("error: {error}"));
    }
    let findings = examine(&Home::from_env(), common.device, common.offline);
    let fatal = findings.iter().filter(|finding| finding.fatal).count();
    match print(&findings) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Err(CliError::Closed),
        printed => printed.map_err(CliError::part)?,
    }
    Ok(if fatal == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The runtime for the device, and the default model; what is there stays.
fn install(common: &Common, tasks: &Tasks, terminal: &Terminal) -> Result<()> {
    let session = open(common, terminal)?;
    let device = common.device;
    tasks.run(async move {
        let work = move || {
            Runtime::load(&Home::from_env(), device, false, session.models().progress()).map_err(CliError::part)?;
            let state = session.context().state();
            let models: Arc<dyn ModelProvider> = Arc::clone(session.models()) as _;
            models.describe(DEFAULT_MODEL, &DebutConfig::of(state.config_options()))?;
            Ok(())
        };
        tokio::task::spawn_blocking(work).await.unwrap_or(Err(CliError::Internal))
    })
}

fn examine(home: &Home, device: Device, offline: bool) -> Vec<Finding> {
    let mut findings = vec![Finding::good("debut", env!("CARGO_PKG_VERSION"))];
    findings.push(folder(home));
    let network = if offline { "not allowed (--offline or DEBUT_OFFLINE)" } else { "allowed" };
    findings.push(Finding::good("network", network));
    let runtime = runtime(home, device, offline);
    let installed = runtime.iter().all(|finding| !finding.fatal);
    findings.push(Finding::good("int8", machine::int8()));
    findings.push(match machine::python() {
        Ok(found) => Finding::good("python", found),
        Err(missing) if installed => Finding::good("python", format!("{missing}; needed only to install the runtime")),
        Err(missing) => Finding::odd("python", missing, "install Python 3 with pip, which fetches the runtime"),
    });
    findings.extend(runtime);
    findings.extend(models(home, offline));
    findings
}

fn folder(home: &Home) -> Finding {
    let root = home.root();
    let state = if root.is_dir() { "" } else { " (does not exist yet)" };
    let free = match machine::free_bytes(root) {
        Some(bytes) => format!(", {} free", size(bytes)),
        None => String::new(),
    };
    let text = format!("{}{state}{free}", root.display());
    match machine::writable(root) {
        Ok(()) => Finding::good("home", text),
        Err(error) => {
            Finding::odd("home", format!("{text}: {error}"), "set DEBUT_HOME to a folder that can be written")
        }
    }
}

/// The library, what it can use, and where models would run.
fn runtime(home: &Home, device: Device, offline: bool) -> Vec<Finding> {
    const CURE: &str = "or set ORT_DYLIB_PATH to the libonnxruntime of your own installation";
    let gpu = match Runtime::gpu() {
        Ok(name) => Finding::good("gpu", name),
        Err(reason) => Finding::good("gpu", format!("none: {reason}")),
    };
    let library = match Runtime::find(home, device) {
        Ok(Some(library)) => library,
        Ok(None) => {
            let cure = if offline { CURE.trim_start_matches("or ").to_string() } else { format!("{INSTALL}, {CURE}") };
            return vec![Finding::bad("runtime", "ONNX Runtime is not installed", cure), gpu];
        }
        // The message says what to do.
        Err(error) => return vec![Finding { fatal: true, ..Finding::good("runtime", chain(&error)) }, gpu],
    };
    let text = format!("{} ({})", library.path.display(), library.origin);
    // Found is not usable: only loading it tells, and that fetches nothing because it is there.
    let runtime = match Runtime::load(home, device, true, &|_| {}) {
        Ok(runtime) => runtime,
        Err(error) => {
            let cure = format!("remove it and run {INSTALL}, {CURE}");
            return vec![Finding::bad("runtime", format!("{text}: {}", chain(&error)), cure), gpu];
        }
    };
    let placement = match runtime.place(device) {
        Ok(placement) if placement.reason.is_empty() => {
            Finding::good("device", format!("{device} is {}", placement.target))
        }
        Ok(placement) => Finding::good("device", format!("{device} is {}: {}", placement.target, placement.reason)),
        Err(error) => Finding::bad("device", chain(&error), "use --device auto or --device cpu"),
    };
    vec![
        Finding::good("runtime", format!("ONNX Runtime {} at {text}", runtime.version())),
        Finding::good("providers", runtime.providers().join(", ")),
        gpu,
        placement,
    ]
}

fn models(home: &Home, offline: bool) -> Vec<Finding> {
    let listed = match Registry::open(home).list() {
        Ok(listed) => listed,
        Err(error) => {
            return vec![Finding::bad("models", chain(&error), "set DEBUT_HOME to a folder that can be read")];
        }
    };
    let mut findings: Vec<_> = listed.iter().map(model).collect();
    let default = listed.iter().any(|listed| listed.name == DEFAULT_MODEL && listed.current && listed.model.is_ok());
    if !default {
        let text = format!("the default model {DEFAULT_MODEL} is not installed");
        let cure = if offline {
            format!("import one: debut model import {DEFAULT_MODEL} FOLDER")
        } else {
            format!("{INSTALL}; it is also installed at first use")
        };
        findings.push(Finding::bad("models", text, cure));
    }
    findings
}

fn model(listed: &Listed) -> Finding {
    let reference = format!("{}@{}", listed.name, listed.version);
    match &listed.model {
        Ok(version) => {
            let manifest = &version.manifest;
            let width =
                if manifest.dimension > 0 { format!(", {} numbers", manifest.dimension) } else { String::new() };
            let current = if listed.current { "" } else { ", not in use" };
            let bytes = size(files::folder_bytes(&version.path));
            Finding::good(
                "model",
                format!("{reference}: {}{width}, {bytes}, from {}{current}", manifest.task, manifest.source),
            )
        }
        Err(error) => {
            Finding::odd("model", chain(error), format!("debut model remove {reference}, and import it again"))
        }
    }
}

/// Bytes for people.
pub(super) fn size(bytes: u64) -> String {
    const GIGA: u64 = 1_000_000_000;
    match bytes {
        GIGA.. => format!("{:.1} GB", bytes as f64 / GIGA as f64),
        100_000.. => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{} bytes", thousands(usize::try_from(bytes).unwrap_or(usize::MAX))),
    }
}

fn print(findings: &[Finding]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for Finding { topic, text, cure, .. } in findings {
        writeln!(out, "{topic:<10} {text}")?;
        if let Some(cure) = cure {
            writeln!(out, "{:<10} -> {cure}", "")?;
        }
    }
    let fatal = findings.iter().filter(|finding| finding.fatal).count();
    match fatal {
        0 => writeln!(out, "\nEverything that the main job needs is there: debut demo"),
        1 => writeln!(out, "\nOne thing is missing."),
        _ => writeln!(out, "\n{fatal} things are missing."),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_home_offline_is_described_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().join("home"));
        let missing = models(&home, true);
        assert_eq!(missing.len(), 1);
        assert!(missing[0].fatal && missing[0].cure.as_ref().unwrap().contains("debut model import"));
        assert!(folder_finding(&home).text.contains("does not exist yet"));
        assert!(!home.root().exists());
    }

    fn folder_finding(home: &Home) -> Finding {
        super::folder(home)
    }

    #[test]
    fn sizes_are_for_people() {
        assert_eq!(size(1234), "1,234 bytes");
        assert_eq!(size(90_900_000), "90.9 MB");
        assert_eq!(size(12_340_000_000), "12.3 GB");
    }
}
