//! The commands of the people who work on Tenantry: `cargo xtask`.

mod bench;
mod command;
mod demo;
mod dist;
mod fuzz;
mod instance;
mod notices;
mod place;
mod schemathesis;
mod slow;
mod tally;
mod test;
mod tools;
mod torture;
mod web;

use std::process::ExitCode;

/// A failure, as the sentence that is printed for it.
type Result<T> = std::result::Result<T, String>;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  web            build the page of web/ into web/dist, where the next build embeds it
  demo [ARGS]    build everything in release and run `tenantry serve --demo ARGS`
  bench WHAT     measure a release build: `peers` beside PocketBase, `growth`, `jobs`, `archive` (--help tells more)
  dist           build target/dist: the stripped binary, what belongs beside it, an archive, its checksum
  fuzz [TARGET|all] [SECONDS]
                 run the fuzzer on what reads bytes from outside, ten minutes each unless said
  schemathesis [ARGS]
                 hold every operation of the API against the OpenAPI document
  slow           see how others fare while slowhttptest holds a server's connections
  torture WHAT   crashes and faults of the real binary: `power`, `kill`, `faults` (--help tells more)
  screenshots    write a picture of every page of the console into web/screenshots
  test           install what the tests need, then run every check and test";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let command = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let done = match (command.as_str(), rest.is_empty()) {
        ("web", true) => web::build(),
        ("bench", false) => bench::start(&rest),
        ("dist", true) => dist::build(),
        ("torture", false) => torture::start(&rest),
        ("demo", _) => demo::start(&rest),
        ("fuzz", _) => fuzz::start(&rest),
        ("schemathesis", _) => schemathesis::start(&rest),
        ("slow", true) => slow::start(),
        ("screenshots", true) => test::screenshots(),
        ("test", true) => return test::run_all(),
        ("help" | "--help" | "-h", true) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}
