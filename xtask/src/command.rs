//! Running other programs: either with our own outputs, or line by line through
//! our hands where their counts are wanted.

use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use crate::Result;
use crate::tally::{Runner, Tally};

/// A program in a folder, without standard input: nothing here may wait for someone to type.
pub fn program(name: &str, folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(args).current_dir(folder).stdin(Stdio::null());
    if !std::io::stdout().is_terminal() {
        command.env("NO_COLOR", "1");
    }
    command
}

/// The cargo that runs us, at the repository's root.
pub fn cargo(args: &[&str]) -> Command {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = program(&cargo, crate::place::root(), args);
    // What cargo tells us of this package would make build scripts that look at it (that of
    // ring does) run again, and all that depends on them be built again.
    for (name, _) in std::env::vars_os() {
        let told = name.to_string_lossy();
        if told.starts_with("CARGO_PKG_") || told.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs to the end; anything but success is an error that names the command.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .map_err(|e| format!("`{}`: {e}", words(command)))?;
    ended_well(command, status)
}

/// Runs to the end and gives what it printed; its errors go where ours go.
pub fn output(command: &mut Command) -> Result<String> {
    let done = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| format!("`{}`: {e}", words(command)))?;
    ended_well(command, done.status)?;
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// Runs a test runner, passes its lines on and adds up the counts it prints.
/// The counts are kept also where it fails.
pub fn run_counting(command: &mut Command, runner: Runner, tally: &mut Tally) -> Result<()> {
    // The runner sees a pipe; whether colours can be seen is known here.
    if std::io::stdout().is_terminal() {
        command
            .env("CARGO_TERM_COLOR", "always")
            .env("FORCE_COLOR", "1");
    }
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("`{}`: {e}", words(command)))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let counted = std::thread::scope(|scope| {
        let errors = scope.spawn(|| pass_on(stderr, std::io::stderr(), runner));
        let mut counted = pass_on(stdout, std::io::stdout(), runner);
        counted.add(errors.join().unwrap_or_default());
        counted
    });
    let status = child
        .wait()
        .map_err(|e| format!("`{}`: {e}", words(command)))?;
    let lines = counted.lines;
    tally.add(counted);
    ended_well(command, status)?;
    // A runner that found nothing, or speaks otherwise than we read, must not pass for success.
    if lines == 0 {
        return Err(format!("`{}` printed no count of tests", words(command)));
    }
    Ok(())
}

fn pass_on(source: Option<impl Read>, mut sink: impl Write, runner: Runner) -> Tally {
    let mut tally = Tally::default();
    let Some(source) = source else { return tally };
    let mut source = BufReader::new(source);
    let mut line = Vec::new();
    while source.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
        // Our own output may be closed; the runner is still read to its end.
        let _ = sink.write_all(&line).and_then(|()| sink.flush());
        tally.add(runner.tally_of(&String::from_utf8_lossy(&line)));
        line.clear();
    }
    tally
}

fn ended_well(command: &Command, status: ExitStatus) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    Err(format!("`{}` ended with {status}", words(command)))
}

/// The command as one would type it.
fn words(command: &Command) -> String {
    let name = Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program());
    std::iter::once(name)
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
