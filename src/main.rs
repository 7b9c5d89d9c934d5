//! The command line of dlc.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
