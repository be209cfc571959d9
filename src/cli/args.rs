//! What may be written on the command line.
//!
//! Takes the process's arguments; gives typed values.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand};
use debut_udfs::config::{CacheSize, Device, Switch};

use super::job_log::LogFormat;
use super::output::Format;
use super::values::Since;
use super::{parameters, values};

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

impl Arguments {
    /// Whether programs read stderr.
    pub(super) fn logs_json(&self) -> bool {
        matches!(&self.command, Some(Command::Run(run)) if run.log == LogFormat::Json)
    }
}

const EXAMPLES: &str = "\
Examples:
  debut                                             open a shell
  debut demo                                        rank new products of the bundled shop
  debut sql -c \"SELECT * FROM 'products.parquet' LIMIT 5\"
  debut sql -f nightly.sql --param day=2026-01-31 --format parquet -o ranked.parquet
  debut model import mine ./my-sentence-transformer
  debut serve --postgres 5432                       serve psql and dashboards on this machine
  debut doctor --install                            install what is missing

Environment:
  DEBUT_HOME      folder for models and the runtime (default ~/.local/share/debut)
  DEBUT_OFFLINE   1: never use the network
  DEBUT_CACHE     off: compute every vector; DEBUT_CACHE_FOLDER and DEBUT_CACHE_SIZE are options too
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
    #[arg(long, global = true, value_name = "SIZE", value_parser = values::size, help_heading = "Common options")]
    pub(super) memory_limit: Option<usize>,
    /// Keep vectors that models made, and find them again: on or off
    #[arg(long, global = true, env = "DEBUT_CACHE", hide_env = true, value_name = "SWITCH", default_value = "on", value_parser = switch, help_heading = "Common options")]
    pub(super) cache: Switch,
    /// The folder of these vectors [default: cache in the folder of DEBUT_HOME]
    #[arg(
        long,
        global = true,
        env = "DEBUT_CACHE_FOLDER",
        hide_env = true,
        value_name = "DIR",
        help_heading = "Common options"
    )]
    pub(super) cache_folder: Option<PathBuf>,
    /// Maximum size of that folder, such as 2G; auto is a tenth of what is free there, at most 4G
    #[arg(long, global = true, env = "DEBUT_CACHE_SIZE", hide_env = true, value_name = "SIZE", default_value = "auto", value_parser = cache_size, help_heading = "Common options")]
    pub(super) cache_size: CacheSize,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run SQL from the command line, a file or a pipe
    Sql(Sql),
    /// Run a file of SQL as a job: with a lock, a record, retries, and exit codes for schedulers
    Run(Run),
    /// Print the crontab line or the systemd units that run a job; installs nothing
    Schedule(Schedule),
    /// Rank new products for a customer of the bundled shop
    Demo(Demo),
    /// Import, list, show and remove models
    #[command(subcommand)]
    Model(Model),
    /// Write a training run or an evaluation as one HTML page: result, curves, options and data
    Report(Report),
    /// Serve clients over the network: PostgreSQL's protocol, Arrow Flight SQL, JSON over HTTP
    Serve(Box<Serve>),
    /// Add, remove and list the users of a server
    #[command(subcommand)]
    User(User),
    /// Show or empty the cache of vectors
    #[command(subcommand)]
    Cache(Cache),
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

/// `debut run`.
#[derive(Debug, Args)]
#[command(after_long_help = RUN_HELP)]
pub(super) struct Run {
    /// The file with the statements
    #[arg(value_name = "JOB.sql")]
    pub(super) file: PathBuf,
    /// A value for $NAME in the SQL and for {NAME} in its locations, as in debut sql
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameters::parse)]
    pub(super) parameters: Vec<(String, String)>,
    /// How the log on stderr is written
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(super) log: LogFormat,
    /// What $since is: the $until of the last run that succeeded (1970 if there is none), or a time
    #[arg(long, value_name = "last|TIME", value_parser = Since::parse)]
    pub(super) since: Option<Since>,
    /// How long rows may take to arrive, such as 2h: $until is that much before the start of the run
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    pub(super) late: Option<Duration>,
    /// How often a statement is tried again that an object store did not answer
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(super) retries: u32,
    /// Format of what SELECTs print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(super) format: Format,
}

const RUN_HELP: &str = "\
In the SQL: $run_id, $run_at (when the run started), $run_date (its day), $since, $until, and every --param. All times are
in UTC. In locations, such as COPY (...) TO 'out/day={run_date}/part.parquet', a name in braces is its value. COPY replaces
what is there, so a run that is done again for a day gives the same files.

What is new since the last run is ... WHERE at >= $since AND at < $until. $until is the second in which the run started, less
--late, and the next run with --since last goes on there: no row is left out, and none taken twice. A run that failed or was
killed does not count; the next one has its $since again, and in the place of its file 'out/since={since}.parquet' writes
one that has more. The last run is one with the same parameters, but for values that are dates.

What happened: SELECT * FROM debut.jobs, a row a statement. Of each job the last 100 runs are kept. --log json writes an object
a line to stderr.

Exit status:
  0    every statement succeeded
  1    a statement failed; the ones behind it were not run
  2    the command line or a parameter is wrong; nothing was run
  75   try later: the job is running already, or an object store does not answer (EX_TEMPFAIL)
  129, 130, 143   cancelled by SIGHUP, SIGINT, SIGTERM

Examples:
  debut run nightly.sql --param as_of=2026-11-28 --log json
  debut run load.sql --since last --late 2h --retries 5

cron and systemd: debut schedule prints what they need. Airflow tries again by itself:
  BashOperator(task_id='nightly', cwd='/srv/shop', retries=3,
               bash_command='debut run nightly.sql --param as_of={{ ds }} --log json')";

/// `debut schedule`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("when").required(true), after_long_help = SCHEDULE_EXAMPLES)]
pub(super) struct Schedule {
    /// The file with the statements
    #[arg(value_name = "JOB.sql")]
    pub(super) file: PathBuf,
    /// Every hour
    #[arg(long, group = "when")]
    pub(super) hourly: bool,
    /// Every day at this time, in the time zone of the machine
    #[arg(long, value_name = "HH:MM", group = "when")]
    pub(super) daily: Option<String>,
    /// Every week at this day and time
    #[arg(long, num_args = 2, value_names = ["DAY", "HH:MM"], group = "when")]
    pub(super) weekly: Option<Vec<String>>,
    /// Print a service and a timer for systemd
    #[arg(long, conflicts_with = "cron")]
    pub(super) systemd: bool,
    /// Print a line for crontab [the default]
    #[arg(long)]
    pub(super) cron: bool,
    /// A parameter of the job, as in debut run
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameters::parse)]
    pub(super) parameters: Vec<(String, String)>,
    /// Run it with --since last
    #[arg(long)]
    pub(super) since_last: bool,
    /// Run it with --late
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    pub(super) late: Option<Duration>,
}

const SCHEDULE_EXAMPLES: &str = "\
Times are those of the machine's time zone; $run_date in the job is in UTC. In the night in which clocks go forward there is no
02:00 in Berlin: cron runs the job right after, and systemd leaves that night out. In the night in which they go back, both
run it once. Times from 04:00 on, and machines in UTC, have every night. --since last takes in what a night left out.

A crontab line calls the program and the files by their full paths, in the folder in which this command is given.

Examples:
  debut schedule nightly.sql --daily 02:00
  debut schedule nightly.sql --weekly mon 02:00 --systemd";

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
  debut model import exported ./model.onnx --option pooling=mean
  debut model import clip ./clip
  debut model import clip-text ./clip --option tower=text";

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

/// `debut serve`.
#[derive(Debug, Args)]
#[command(after_long_help = SERVE_EXAMPLES)]
pub(super) struct Serve {
    /// Speak PostgreSQL's protocol at this address: HOST:PORT, or a port of this machine alone; port 0 takes a free one
    #[arg(long, value_name = "ADDR", env = "DEBUT_SERVE_POSTGRES", hide_env = true, value_parser = values::address)]
    pub(super) postgres: Option<SocketAddr>,
    /// Speak Arrow Flight SQL at this address
    #[arg(long, value_name = "ADDR", env = "DEBUT_SERVE_FLIGHT", hide_env = true, value_parser = values::address)]
    pub(super) flight: Option<SocketAddr>,
    /// Answer JSON over HTTP at this address
    #[arg(long, value_name = "ADDR", env = "DEBUT_SERVE_HTTP", hide_env = true, value_parser = values::address)]
    pub(super) http: Option<SocketAddr>,
    /// The folder that /v1/feedback appends events to, as Parquet
    #[arg(long, value_name = "DIR", env = "DEBUT_SERVE_FEEDBACK", hide_env = true)]
    pub(super) feedback: Option<PathBuf>,
    /// Show a page to browsers at /, of the views items and interactions that this file of SQL makes, such as sql/page.sql
    #[arg(long, value_name = "FILE", env = "DEBUT_SERVE_PAGE", hide_env = true)]
    pub(super) page: Option<PathBuf>,
    /// A folder whose files sessions may read, and no others; can be given several times
    #[arg(long, value_name = "DIR", env = "DEBUT_SERVE_DATA", hide_env = true, value_delimiter = ':')]
    pub(super) data: Vec<PathBuf>,
    /// Sessions may write in these folders, and make and drop models
    #[arg(long, env = "DEBUT_SERVE_READ_WRITE", hide_env = true, value_parser = FalseyValueParser::new(), conflicts_with = "read_only")]
    pub(super) read_write: bool,
    /// Sessions may only read [the default]
    #[arg(long)]
    pub(super) read_only: bool,
    /// The file of users, which `debut user add` makes; without one only this machine may connect, without a password
    #[arg(long, value_name = "FILE", env = "DEBUT_SERVE_USERS", hide_env = true)]
    pub(super) users: Option<PathBuf>,
    /// The certificate for TLS, in PEM
    #[arg(long, value_name = "FILE", env = "DEBUT_SERVE_TLS_CERT", hide_env = true)]
    pub(super) tls_cert: Option<PathBuf>,
    /// The private key of the certificate, in PEM
    #[arg(long, value_name = "FILE", env = "DEBUT_SERVE_TLS_KEY", hide_env = true)]
    pub(super) tls_key: Option<PathBuf>,
    /// Refuse connections without TLS
    #[arg(long, env = "DEBUT_SERVE_TLS_REQUIRED", hide_env = true, value_parser = FalseyValueParser::new())]
    pub(super) tls_required: bool,
    /// Most connections at a time [default: 100]
    #[arg(long, value_name = "N", env = "DEBUT_SERVE_MAX_CONNECTIONS", hide_env = true)]
    pub(super) max_connections: Option<usize>,
    /// Cancel statements that take longer, such as 30s or 5min; clients can set a shorter time [default: none]
    #[arg(long, value_name = "TIME", env = "DEBUT_SERVE_STATEMENT_TIMEOUT", hide_env = true, value_parser = values::duration)]
    pub(super) statement_timeout: Option<Duration>,
    /// Drop connections that have not logged in by then [default: 10s]
    #[arg(long, value_name = "TIME", env = "DEBUT_SERVE_STARTUP_TIMEOUT", hide_env = true, value_parser = values::duration)]
    pub(super) startup_timeout: Option<Duration>,
    /// How long statements may go on after SIGTERM or SIGINT [default: 30s]
    #[arg(long, value_name = "TIME", env = "DEBUT_SERVE_SHUTDOWN_TIMEOUT", hide_env = true, value_parser = values::duration)]
    pub(super) shutdown_timeout: Option<Duration>,
    /// Longest body of a request over HTTP; all requests together may have 64 times as much [default: 4M]
    #[arg(long, value_name = "SIZE", env = "DEBUT_SERVE_HTTP_MAX_BODY", hide_env = true, value_parser = values::size)]
    pub(super) http_max_body: Option<usize>,
    /// Most texts, pairs, rows or events of a request over HTTP [default: 2048]
    #[arg(long, value_name = "N", env = "DEBUT_SERVE_HTTP_MAX_ROWS", hide_env = true)]
    pub(super) http_max_rows: Option<NonZeroUsize>,
    /// Most rows over HTTP that wait for a model; requests get 429 then [default: 8192]
    #[arg(long, value_name = "N", env = "DEBUT_SERVE_HTTP_MAX_QUEUE", hide_env = true)]
    pub(super) http_max_queue: Option<NonZeroUsize>,
    /// How long a request over HTTP may wait for others, to run a model once for all of them [default: 2ms]
    #[arg(long, value_name = "TIME", env = "DEBUT_SERVE_HTTP_LATENCY_BUDGET", hide_env = true, value_parser = values::duration)]
    pub(super) http_latency_budget: Option<Duration>,
    /// A TOML file with these options by their names; flags and the environment weigh more
    #[arg(long, value_name = "FILE", env = "DEBUT_SERVE_CONFIG", hide_env = true)]
    pub(super) config: Option<PathBuf>,
}

const SERVE_EXAMPLES: &str = "\
Once it listens, a line on stdout says where: postgres 127.0.0.1:5432

Examples:
  debut serve --postgres 5432                       this machine only, no passwords
  debut user add ada --users users.txt
  debut serve --postgres 0.0.0.0:5432 --users users.txt --tls-cert cert.pem --tls-key key.pem --tls-required
  debut serve --config serve.toml

Every option can be a variable, such as DEBUT_SERVE_MAX_CONNECTIONS, or a line of the file:
  postgres = \"127.0.0.1:5432\"
  statement-timeout = \"5min\"";

/// `debut user`.
#[derive(Debug, Subcommand)]
pub(super) enum User {
    /// Add a user, or change a password, which is asked for, or read from stdin
    Add {
        /// The name
        name: String,
        /// The file of users; it is made if it is not there
        #[arg(long, value_name = "FILE", env = "DEBUT_SERVE_USERS", hide_env = true)]
        users: PathBuf,
    },
    /// Remove a user
    Remove {
        /// The name
        name: String,
        /// The file of users
        #[arg(long, value_name = "FILE", env = "DEBUT_SERVE_USERS", hide_env = true)]
        users: PathBuf,
    },
    /// Make a token for a user, in the place of the one before, and print it: for HTTP
    Token {
        /// The name
        name: String,
        /// The file of users
        #[arg(long, value_name = "FILE", env = "DEBUT_SERVE_USERS", hide_env = true)]
        users: PathBuf,
    },
    /// List the names of the users
    List {
        /// The file of users
        #[arg(long, value_name = "FILE", env = "DEBUT_SERVE_USERS", hide_env = true)]
        users: PathBuf,
    },
}

/// `debut cache`.
#[derive(Debug, Subcommand)]
pub(super) enum Cache {
    /// Show where it is, how large it is and may be, and which models' vectors it holds
    Info,
    /// Remove all vectors; they are computed again when they are asked for
    Clear,
}

/// `debut doctor`.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// Install what is missing: the runtime and the default model
    #[arg(long)]
    pub(super) install: bool,
}

fn switch(text: &str) -> Result<Switch, String> {
    text.parse().map_err(|_| "the cache is on or off".to_string())
}

fn cache_size(text: &str) -> Result<CacheSize, String> {
    text.parse().map_err(|_| "a size is auto, or a whole number with K, M, G or T behind it, such as 2G".to_string())
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
    fn common_options_stand_on_either_side_of_the_command() {
        for line in [["debut", "--device", "cpu", "doctor"], ["debut", "doctor", "--device", "cpu"]] {
            assert_eq!(Arguments::try_parse_from(line).unwrap().common.device, Device::Cpu);
        }
    }
}
