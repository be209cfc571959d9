//! `debut serve`: clients connect over the network.
//!
//! Takes flags, variables of the environment and a file, in this order of weight; gives the addresses that are served, a line
//! each on stdout, and status 0 when a signal ended it and all work is done.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::args::{Common, Serve};
use super::error::{CliError, Result};
use super::progress::Terminal;
use super::task::Tasks;
use super::{engine_options, note, values};
use crate::engine::EngineOptions;
use crate::home::Home;
use crate::inference::Models;
use crate::server;
use crate::server::options::{HttpLimits, Limits, ServerOptions};
use crate::server::tls::TlsFiles;

/// Serves until a signal comes.
///
/// # Errors
/// The options are wrong or do not fit together, or an address cannot be listened on.
pub(super) fn run(arguments: Serve, common: &Common, tasks: &Tasks, terminal: &Terminal) -> Result<ExitCode> {
    let options = options(arguments, common)?;
    options.check().map_err(|error| CliError::Usage(error.to_string()))?;
    if options.users.is_none() {
        note("there is no file of users: whoever can log in to this machine can connect, without a password");
    }
    if let Some(address) = options.unencrypted() {
        note(format_args!(
            "passwords and tokens cross the network unencrypted at {address}: name a certificate with --tls-cert and --tls-key, or \
             put a proxy with TLS in front"
        ));
    }
    if options.data.is_empty() {
        note("no folder is served: sessions read no files; name folders with --data DIR");
    }
    let models = Arc::new(Models::with_progress(Home::from_env(), terminal.sink()));
    tasks.serve(|shutdown| async move {
        let shutdown = async move {
            shutdown.await;
            note("stopping: no new work is taken; a second signal stops at once");
        };
        server::run(models, options, shutdown, announce).await.map_err(CliError::part)
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Says on stdout what is served where, such as `postgres 127.0.0.1:5432`, so that who started it knows when it is ready.
fn announce(served: &[(&'static str, SocketAddr)]) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    for (protocol, address) in served {
        // Nobody has to read it.
        let _ = writeln!(out, "{protocol} {address}");
    }
    let _ = out.flush();
}

/// What the file may say: the flags by their names.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    postgres: Option<Text>,
    flight: Option<Text>,
    http: Option<Text>,
    feedback: Option<PathBuf>,
    page: Option<PathBuf>,
    users: Option<PathBuf>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    tls_required: Option<bool>,
    data: Option<Vec<PathBuf>>,
    read_write: Option<bool>,
    memory_limit: Option<Text>,
    max_connections: Option<usize>,
    statement_timeout: Option<Text>,
    startup_timeout: Option<Text>,
    shutdown_timeout: Option<Text>,
    http_max_body: Option<Text>,
    http_max_rows: Option<NonZeroUsize>,
    http_max_queue: Option<NonZeroUsize>,
    http_latency_budget: Option<Text>,
}

/// What may be written as a number, too.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Text {
    Text(String),
    Number(u64),
}

impl Text {
    /// Reads it as the flag of this name would.
    fn parse<T>(&self, path: &Path, name: &str, parse: fn(&str) -> Result<T, String>) -> Result<T> {
        let text = match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
        };
        parse(&text).map_err(|reason| CliError::Usage(format!("{}: {name} = '{text}': {reason}", path.display())))
    }
}

fn options(arguments: Serve, common: &Common) -> Result<ServerOptions> {
    let path = arguments.config.clone().unwrap_or_default();
    let file = if arguments.config.is_some() { read(&path)? } else { File::default() };
    // Paths in the file are relative to it.
    let beside = |name: PathBuf| path.parent().map_or(name.clone(), |folder| folder.join(name));
    let duration = |flag: Option<Duration>, text: Option<&Text>, name: &str| match (flag, text) {
        (None, Some(text)) => text.parse(&path, name, values::duration).map(Some),
        (flag, _) => Ok(flag),
    };
    let data = match (arguments.data, file.data) {
        (flags, Some(folders)) if flags.is_empty() => folders.into_iter().map(beside).collect(),
        (flags, _) => flags,
    };
    let defaults = Limits::default();
    let certificate = arguments.tls_cert.or(file.tls_cert.map(beside));
    let key = arguments.tls_key.or(file.tls_key.map(beside));
    let tls = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
        (None, None) => None,
        (Some(_), None) => return Err(CliError::Usage("--tls-cert needs its key: --tls-key FILE".to_string())),
        (None, Some(_)) => return Err(CliError::Usage("--tls-key needs its certificate: --tls-cert FILE".to_string())),
    };
    let address = |flag: Option<SocketAddr>, text: Option<&Text>, name: &str| match (flag, text) {
        (None, Some(text)) => text.parse(&path, name, values::address).map(Some),
        (flag, _) => Ok(flag),
    };
    let postgres = address(arguments.postgres, file.postgres.as_ref(), "postgres")?;
    let flight = address(arguments.flight, file.flight.as_ref(), "flight")?;
    let http = address(arguments.http, file.http.as_ref(), "http")?;
    let size = |flag: Option<usize>, text: Option<&Text>, name: &str| match (flag, text) {
        (None, Some(text)) => text.parse(&path, name, values::size).map(Some),
        (flag, _) => Ok(flag),
    };
    let memory_limit = size(common.memory_limit, file.memory_limit.as_ref(), "memory-limit")?;
    let statement_timeout =
        duration(arguments.statement_timeout, file.statement_timeout.as_ref(), "statement-timeout")?;
    let startup_timeout = duration(arguments.startup_timeout, file.startup_timeout.as_ref(), "startup-timeout")?;
    let shutdown_timeout = duration(arguments.shutdown_timeout, file.shutdown_timeout.as_ref(), "shutdown-timeout")?;
    let max_connections = arguments.max_connections.or(file.max_connections).unwrap_or(defaults.max_connections);
    if max_connections == 0 {
        return Err(CliError::Usage("--max-connections is at least 1".to_string()));
    }
    let of_http = HttpLimits::default();
    let max_body = size(arguments.http_max_body, file.http_max_body.as_ref(), "http-max-body")?;
    let latency_budget =
        duration(arguments.http_latency_budget, file.http_latency_budget.as_ref(), "http-latency-budget")?;
    let http_limits = HttpLimits {
        max_body: max_body.unwrap_or(of_http.max_body),
        max_rows: arguments.http_max_rows.or(file.http_max_rows).map_or(of_http.max_rows, NonZeroUsize::get),
        latency_budget: latency_budget.unwrap_or(of_http.latency_budget),
        max_queue: arguments.http_max_queue.or(file.http_max_queue).map_or(of_http.max_queue, NonZeroUsize::get),
    };
    Ok(ServerOptions {
        postgres,
        flight,
        http,
        feedback: arguments.feedback.or(file.feedback.map(beside)),
        page: arguments.page.or(file.page.map(beside)),
        users: arguments.users.or(file.users.map(beside)),
        tls,
        tls_required: arguments.tls_required || file.tls_required.unwrap_or(false),
        engine: EngineOptions { memory_limit, ..engine_options(common) },
        data,
        writable: arguments.read_write || file.read_write.unwrap_or(false),
        limits: Limits {
            max_connections,
            statement_timeout: statement_timeout.filter(|timeout| !timeout.is_zero()),
            startup_timeout: startup_timeout.unwrap_or(defaults.startup_timeout),
            shutdown_timeout: shutdown_timeout.unwrap_or(defaults.shutdown_timeout),
            ..defaults
        },
        http_limits,
    })
}

fn read(path: &Path) -> Result<File> {
    let text = std::fs::read_to_string(path).map_err(|source| CliError::File {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    toml::from_str(&text)
        .map_err(|error| CliError::Usage(format!("{}: {error}", path.display()).trim_end().to_string()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::Parser;

    use super::super::args::{Arguments, Command};
    use super::*;

    fn parsed(line: &[&str]) -> Result<ServerOptions> {
        let arguments = Arguments::try_parse_from([&["debut", "serve"], line].concat()).unwrap();
        let Some(Command::Serve(serve)) = arguments.command else { return Err(CliError::Internal) };
        options(*serve, &arguments.common)
    }

    #[test]
    fn flags_weigh_more_than_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("serve.toml");
        let text = "postgres = 6000\nusers = \"users\"\nstatement-timeout = \"1min\"\nmax-connections = 7\nmemory-limit = \"1G\"";
        std::fs::write(&path, text).unwrap();
        let file = path.to_str().unwrap();
        let options = parsed(&["--config", file, "--statement-timeout", "5s"]).unwrap();
        assert_eq!(options.postgres, Some("127.0.0.1:6000".parse().unwrap()));
        assert_eq!(options.users, Some(folder.path().join("users")));
        assert_eq!(options.limits.statement_timeout, Some(Duration::from_secs(5)));
        assert_eq!((options.limits.max_connections, options.engine.memory_limit), (7, Some(1 << 30)));
        for (wrong, expected) in [
            ("postgrs = 1", "postgrs"),
            ("postgres = \"x\"", "postgres = 'x'"),
            ("http-max-body = \"much\"", "http-max-body = 'much'"),
            ("http-max-rows = 0", "nonzero"),
            ("a", "serve.toml"),
        ] {
            std::fs::write(&path, wrong).unwrap();
            let message = parsed(&["--config", file]).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn limits_over_http_are_set_by_flags_and_by_the_file() {
        let options = parsed(&["--http", "1"]).unwrap();
        assert_eq!(options.http_limits, HttpLimits::default());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("serve.toml");
        let text = "http-max-body = \"1M\"\nhttp-max-rows = 10\nhttp-max-queue = 20\nhttp-latency-budget = \"7ms\"";
        std::fs::write(&path, text).unwrap();
        let file = ["--http", "1", "--config", path.to_str().unwrap()];
        let (max_body, latency_budget) = (1 << 20, Duration::from_millis(7));
        let expected = HttpLimits { max_body, max_rows: 10, latency_budget, max_queue: 20 };
        assert_eq!(parsed(&file).unwrap().http_limits, expected);
        let flags =
            ["--http-max-body", "8K", "--http-max-rows", "3", "--http-max-queue", "4", "--http-latency-budget", "0"];
        let expected = HttpLimits { max_body: 8 << 10, max_rows: 3, latency_budget: Duration::ZERO, max_queue: 4 };
        assert_eq!(parsed(&[&file[..], &flags].concat()).unwrap().http_limits, expected);
        for wrong in ["--http-max-body", "--http-max-rows", "--http-max-queue"] {
            assert!(Arguments::try_parse_from(["debut", "serve", wrong, "0"]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn half_of_tls_is_none() {
        assert!(parsed(&["--postgres", "1", "--tls-cert", "c.pem"]).is_err());
        assert!(parsed(&["--postgres", "1", "--tls-key", "k.pem"]).is_err());
        assert!(parsed(&["--postgres", "1", "--max-connections", "0"]).is_err());
        assert_eq!(parsed(&["--postgres", "1", "--statement-timeout", "0"]).unwrap().limits.statement_timeout, None);
    }
}
