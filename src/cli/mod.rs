//! The command line. A command is an HTTP client of the server: of the running
//! one through the socket in the data folder, or of one inside this process for
//! as long as the command takes (`session.rs`). So there is one way to do a
//! thing, and one place that checks it.
//!
//! `args.rs` is the grammar, `commands/` one file a subject, `import/` the one
//! command that has parts of its own.

mod args;
mod client;
mod commands;
mod doctor;
mod import;
mod logging;
mod manual;
mod output;
mod password;
mod server;
mod session;
mod supervise;
#[cfg(test)]
mod testing;

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory as _, Parser as _};

use args::{Cli, Command, Common};
use output::{Output, note};
use session::Session;

use crate::config::{Config, ConfigProblem, Flags, Sources};

/// It failed.
const FAILED: u8 = 1;
/// The command line or the configuration is wrong; nothing was tried.
const WRONG_USE: u8 = 2;

/// Runs the command that `args` (with the program's name first) ask for.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { WRONG_USE } else { 0 });
        }
    };
    match dispatch(&cli.common, cli.command) {
        Ok(code) => code,
        Err(error) => ExitCode::from(report(&error)),
    }
}

/// Wrong use that the grammar cannot see.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct WrongUse(String);

/// Everything wrong with the configuration.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
struct WrongConfig(Vec<ConfigProblem>);

/// A failure that was told already, in the command's own way.
#[derive(Debug, thiserror::Error)]
#[error("failed")]
struct Told;

/// What commands work with.
struct Context {
    common: Common,
    out: Output,
}

impl Context {
    fn config(&self) -> Result<Config> {
        self.config_with(None)
    }

    fn config_with(&self, listen: Option<String>) -> Result<Config> {
        let data = self.common.data.clone();
        let sources = Sources::of_process(self.common.config.clone(), Flags { data, listen });
        Ok(Config::load(sources).map_err(WrongConfig)?)
    }

    /// Acts as the data folder's owner from here on: a command opens the files it
    /// reads and writes before.
    fn session(&self, command: &str) -> Result<Session> {
        Session::open(&self.config()?, command)
    }
}

fn dispatch(common: &Common, command: Command) -> Result<ExitCode> {
    let context = Context {
        common: common.clone(),
        out: Output { json: common.json },
    };
    match command {
        Command::Init(init) => commands::init::run(&context, &init)?,
        Command::Serve(serve) => commands::serve::run(&context, serve)?,
        Command::Apply(apply) => commands::apply::run(&context, &apply)?,
        Command::Tenant(tenant) => commands::tenant::run(&context, &tenant)?,
        Command::Key(key) => commands::key::run(&context, &key)?,
        Command::Archive(archive) => return commands::archive::run(&context, &archive),
        Command::Job(job) => return commands::job::run(&context, &job),
        Command::Operator(operator) => commands::operator::run(&context, &operator)?,
        Command::Import(import) => import::run(&context, &import)?,
        Command::Export(export) => commands::export::run(&context, &export)?,
        Command::App(app) => commands::app::run(&context, &app)?,
        Command::Backup(backup) => commands::backup::run(&context, &backup)?,
        Command::Store(store) => commands::store::run(&context, &store)?,
        Command::Doctor => return doctor::run(&context),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "tenantry", &mut script);
            output::print(&String::from_utf8_lossy(&script))?;
        }
        Command::Man => output::print(&manual::page()?)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Tells the error and answers the exit status.
fn report(error: &anyhow::Error) -> u8 {
    if error.is::<Told>() || reader_left(error) {
        return FAILED;
    }
    if error.is::<WrongConfig>() {
        note(format_args!("the configuration is wrong:\n{error}"));
        return WRONG_USE;
    }
    note(format_args!("error: {error:#}"));
    if error.is::<WrongUse>() {
        WRONG_USE
    } else {
        FAILED
    }
}

/// Whoever read our standard output has gone.
fn reader_left(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
