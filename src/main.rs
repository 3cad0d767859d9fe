//! Parses the command line and hands over; nothing else.

fn main() -> std::process::ExitCode {
    tenantry::cli::run(std::env::args_os())
}
