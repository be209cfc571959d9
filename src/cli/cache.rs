//! `debut cache`: what is kept of the vectors that models made.
//!
//! Takes the command; gives a line for each thing on stdout.

use std::io::Write;
use std::process::ExitCode;

use chrono::DateTime;
use debut_udfs::config::{CacheSize, DebutConfig};

use super::args::{Cache, Common};
use super::doctor::size;
use super::error::{CliError, Result};
use super::progress::thousands;
use crate::home::Home;
use crate::inference::cache;
use crate::inference::cache::info::{self, Kept};

/// Runs the command.
///
/// # Errors
/// The cache's folder cannot be read or changed, or stdout not be written.
pub(super) fn run(command: &Cache, common: &Common) -> Result<ExitCode> {
    let mut config = DebutConfig::default();
    if let Some(folder) = &common.cache_folder {
        let Some(folder) = folder.to_str() else {
            return Err(CliError::Usage(format!("the folder of the cache, '{}', is not UTF-8", folder.display())));
        };
        config.cache_folder = folder.to_owned();
    }
    let root = cache::folder(&config, &Home::from_env());
    let file = |action| {
        let path = root.clone();
        move |source| CliError::File { action, path, source }
    };
    let kept = info::kept(&root).map_err(file("read"))?;
    let bytes: u64 = kept.iter().map(|kept| kept.bytes).sum();
    let vectors: u64 = kept.iter().map(|kept| kept.vectors).sum();
    let mut lines = Vec::new();
    match command {
        Cache::Info => {
            let why = match common.cache_size {
                CacheSize::Auto => ", a tenth of what is free on its disk, at most 4 GiB",
                CacheSize::Bytes(_) => "",
            };
            lines.push(format!("folder     {}", root.display()));
            if !common.cache.is_on() {
                lines.push("state      off: nothing is read or written".to_owned());
            }
            lines.push(format!("used       {}", size(bytes)));
            lines.push(format!("limit      {}{why}", size(info::limit(&root, common.cache_size))));
            lines.extend(kept.iter().map(model));
        }
        Cache::Clear => {
            info::clear(&root).map_err(file("empty"))?;
            lines.push(format!("removed {} vectors, {}, from {}", count(vectors), size(bytes), root.display()));
        }
    }
    let mut out = std::io::stdout().lock();
    match lines.iter().try_for_each(|line| writeln!(out, "{line}")) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(CliError::Closed),
        written => written.map(|()| ExitCode::SUCCESS).map_err(CliError::part),
    }
}

fn model(kept: &Kept) -> String {
    let name = kept.model.as_deref().unwrap_or("unknown, its files are damaged");
    let width = kept.dimension.map(|width| format!(" of {} numbers", count(width as u64))).unwrap_or_default();
    let used = kept.last_used.and_then(|used| DateTime::from_timestamp(used.into(), 0));
    let used = used.map(|used| format!(", last used {} UTC", used.format("%Y-%m-%d %H:%M"))).unwrap_or_default();
    format!("model      {name}: {} vectors{width}, {}{used}", count(kept.vectors), size(kept.bytes))
}

fn count(number: u64) -> String {
    thousands(usize::try_from(number).unwrap_or(usize::MAX))
}
