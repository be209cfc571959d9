//! The program `debut`: hands the command line to `debut::cli` and its answer to the operating system.

use std::process::ExitCode;

fn main() -> ExitCode {
    debut::cli::main()
}
