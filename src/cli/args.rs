//! What may be written on the command line.
//!
//! Takes the process's arguments; gives typed values.

use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand};
use debut_udfs::config::Device;

use super::output::Format;
use super::parameters;

/// A SQL engine for finding the new products that people will want.
///
/// Without a command it opens a shell. Files are tables: SELECT * FROM 'products.parquet'.
#[derive(Debug, Parser)]
#[command(version, bin_name = "debut", after_long_help = EXAMPLES, disable_help_subcommand = true)]
pub(super) struct Arguments {
    /// Options of every command.
    #[command(flatten)]
    pub(super) common: Common,
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

const EXAMPLES: &str = "\
Examples:
  debut                                             open a shell
  debut demo                                        rank new products of the bundled shop
  debut sql -c \"SELECT * FROM 'products.parquet' LIMIT 5\"
  debut sql -f nightly.sql --param day=2026-01-31 --format parquet -o ranked.parquet
  debut model import mine ./my-sentence-transformer
  debut doctor --install                            install what is missing

Environment:
  DEBUT_HOME      folder for models and the runtime (default ~/.local/share/debut)
  DEBUT_OFFLINE   1: never use the network
  DEBUT_LOG       log level on stderr, such as 'debug' or 'debut=trace'
  ORT_DYLIB_PATH  the ONNX Runtime library to use";

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub(super) struct Common {
    /// Where to run models: auto (a GPU if there is one), cpu or cuda
    #[arg(long, global = true, value_name = "DEVICE", default_value = "auto", value_parser = device, help_heading = "Common options")]
    pub(super) device: Device,
    /// Never use the network: a missing model or runtime is an error
    #[arg(long, global = true, env = "DEBUT_OFFLINE", hide_env = true, value_parser = FalseyValueParser::new(), help_heading = "Common options")]
    pub(super) offline: bool,
    /// Maximum memory for a query's intermediate results, such as 512M or 2G; the rest spills to disk
    #[arg(long, global = true, value_name = "SIZE", value_parser = size, help_heading = "Common options")]
    pub(super) memory_limit: Option<usize>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run SQL from the command line, a file or a pipe
    Sql(Sql),
    /// Rank new products for a customer of the bundled shop
    Demo(Demo),
    /// Import, list, show and remove models
    #[command(subcommand)]
    Model(Model),
    /// Write a training run or an evaluation as one HTML page: result, curves, options and data
    Report(Report),
    /// Check the installation: what is there, what is missing, and how to fix it
    Doctor(Doctor),
}

/// `debut sql`.
#[derive(Debug, Args)]
#[command(after_long_help = SQL_EXAMPLES)]
pub(super) struct Sql {
    /// The statements to run, separated by semicolons
    #[arg(short, long, value_name = "SQL", conflicts_with = "file")]
    pub(super) command: Option<String>,
    /// A file with the statements to run; - for stdin
    #[arg(short, long, value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// A value for $NAME in the SQL: a number, true, false or null, else text; 'quotes' keep text
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameters::parse)]
    pub(super) parameters: Vec<(String, String)>,
    /// Format of the results
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(super) format: Format,
    /// Write the results to this file, which appears only if every statement succeeds
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Maximum number of rows to show of a table; 0 for all [default: 40 on a terminal, else all]
    #[arg(long, value_name = "N")]
    pub(super) max_rows: Option<usize>,
}

const SQL_EXAMPLES: &str = "\
Examples:
  debut sql -c \"SELECT count(*) FROM 'products.parquet'\"
  debut sql -f report.sql --param country=DE --format csv > report.csv
  debut sql -f score.sql --format parquet -o scores.parquet
  echo 'SELECT 1' | debut sql";

impl Sql {
    /// What `debut` alone does when a script is piped into it.
    pub(super) fn from_stdin() -> Self {
        Self {
            command: None,
            file: None,
            parameters: Vec::new(),
            format: Format::default(),
            output: None,
            max_rows: None,
        }
    }
}

/// `debut demo`.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// The customer to rank new products for: 1 to 1500
    #[arg(long, value_name = "ID")]
    pub(super) customer: Option<i64>,
}

/// `debut model`.
#[derive(Debug, Subcommand)]
pub(super) enum Model {
    /// Import a model from a folder, an ONNX file or Hugging Face
    #[command(after_long_help = IMPORT_EXAMPLES)]
    Import {
        /// The name of the model in SQL
        name: String,
        /// A folder, an .onnx file or hf:owner/name
        source: String,
        /// A setting that the source does not contain, such as pooling=mean
        #[arg(long = "option", value_name = "KEY=VALUE", value_parser = option)]
        options: Vec<(String, String)>,
    },
    /// List the models
    List,
    /// Show everything about a model
    Show {
        /// Its name, or name@version
        name: String,
    },
    /// Remove a model, or one version of it
    Remove {
        /// Its name, or name@version
        name: String,
    },
}

const IMPORT_EXAMPLES: &str = "\
Examples:
  debut model import mine ./my-sentence-transformer
  debut model import e5 hf:intfloat/multilingual-e5-small
  debut model import exported ./model.onnx --option pooling=mean";

/// `debut report`.
#[derive(Debug, Args)]
#[command(after_long_help = REPORT_EXAMPLES)]
pub(super) struct Report {
    /// The run or evaluation, or the beginning of its name: debut.training_runs and debut.evaluations list them
    pub(super) run: String,
    /// Where the page goes [default: report.html in the run's folder, or beside the evaluation]
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
}

const REPORT_EXAMPLES: &str = "\
Examples:
  debut sql -c 'SELECT run, model, status, metric, best, published FROM debut.training_runs ORDER BY run'
  debut sql -c 'SELECT evaluation, model, against, k, new_recall, users FROM debut.evaluations ORDER BY evaluation'
  debut report 20261124-222308
  debut report 20261124-222308-4be1c7 -o report.html
  debut report eval-20261125-044942 -o evaluation.html";

/// `debut doctor`.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// Install what is missing: the runtime and the default model
    #[arg(long)]
    pub(super) install: bool,
}

fn device(text: &str) -> Result<Device, String> {
    text.parse().map_err(|_| "a device is auto, cpu or cuda".to_string())
}

fn option(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_string(), value.to_string())),
        _ => Err("an option is KEY=VALUE".to_string()),
    }
}

/// Bytes from `1048576`, `512M`, `2G`, `2GiB`; the units are powers of 1024, as in most tools that limit memory.
fn size(text: &str) -> Result<usize, String> {
    let wrong = || "a size is a whole number with K, M, G or T behind it, such as 2G".to_string();
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number: usize = digits.parse().map_err(|_| wrong())?;
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(wrong()),
    };
    number.checked_mul(1 << shift).filter(|bytes| *bytes > 0).ok_or_else(wrong)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn clap_finds_no_contradiction() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn sizes_have_units_of_1024() {
        assert_eq!(size("10").unwrap(), 10);
        assert_eq!(size("512M").unwrap(), 512 << 20);
        assert_eq!(size("2GiB").unwrap(), 2 << 30);
        for wrong in ["", "G", "0", "-1", "1.5G", "2X", "99999999999T"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn common_options_stand_on_either_side_of_the_command() {
        for line in [["debut", "--device", "cpu", "doctor"], ["debut", "doctor", "--device", "cpu"]] {
            assert_eq!(Arguments::try_parse_from(line).unwrap().common.device, Device::Cpu);
        }
    }
}
