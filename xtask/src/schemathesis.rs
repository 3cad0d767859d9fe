//! schemathesis against the server's own OpenAPI document: every operation with what
//! the document allows and with what it does not.

use std::path::PathBuf;

use crate::Result;
use crate::command::{program, run};
use crate::instance::{Instance, exchange};
use crate::{place, tools};

/// The release on PyPI, so that a run can be had again.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";

/// What may sign the run itself out, and so comes last.
const SIGNING_OUT: [&str; 2] = ["/v1/auth/logout", "/v1/operators/{email}"];
/// Streams for as long as one listens.
const ENDLESS: &str = "/v1/events";

/// An entity that takes any object, so that writes come through.
const APP: &str = "\
[entity.note.schema]
properties.text = { type = \"string\" }
[[entity.note.index]]
name = \"by_text\"
fields = [\"text\"]
";

/// `cargo xtask schemathesis [ARGS]`
pub fn start(args: &[String]) -> Result<()> {
    let schemathesis = need_schemathesis()?;
    let server = Instance::start("schemathesis")?;
    apply(&server)?;
    let config = place::root().join("xtask/schemathesis.toml");
    let document = format!("http://{}/openapi.json", server.address);
    let credentials = format!("Authorization: Bearer {}", server.token);
    let tried = |phases: &str, paths: &[(&str, &str)]| {
        let mut command = program(&schemathesis.to_string_lossy(), &place::target()?, &[]);
        command.arg("--config-file").arg(&config);
        command.args(["run", &document, "--header", &credentials, "--no-color"]);
        command.args(["--phases", phases, "--continue-on-failure", "--seed", "1"]);
        command.args(["--max-examples", "20", "--request-timeout", "30"]);
        for (how, path) in paths {
            command.args([how, path]);
        }
        run(command.args(args))
    };
    let mut first = vec![("--exclude-path", ENDLESS)];
    first.extend(SIGNING_OUT.map(|path| ("--exclude-path", path)));
    let most = tried("coverage,fuzzing,stateful", &first);
    let rest = tried(
        "coverage",
        &SIGNING_OUT.map(|path| ("--include-path", path)),
    );
    server.finish()?;
    most.and(rest)
}

fn apply(server: &Instance) -> Result<()> {
    let request = format!(
        "PUT /v1/app HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {}\r\ncontent-type: text/toml\r\ncontent-length: {}\r\n\r\n{APP}",
        server.token,
        APP.len()
    );
    let answer = exchange(&server.address, &request)?;
    match answer.starts_with("HTTP/1.1 200") {
        true => Ok(()),
        false => Err(format!("the app file is refused: {answer}")),
    }
}

/// The program, in an environment of its own below `target/`.
fn need_schemathesis() -> Result<PathBuf> {
    let folder = place::target()?.join("tools/schemathesis");
    let binary = folder.join("bin/schemathesis");
    if binary.is_file() {
        return Ok(binary);
    }
    if tools::find("python3").is_none() {
        return Err(format!(
            "{SCHEMATHESIS} is installed by pip; python3 was not found"
        ));
    }
    let place = folder.to_string_lossy();
    run(&mut program(
        "python3",
        crate::place::root(),
        &["-m", "venv", &place],
    ))?;
    let pip = folder.join("bin/pip");
    run(&mut program(
        &pip.to_string_lossy(),
        crate::place::root(),
        &["install", "--quiet", SCHEMATHESIS],
    ))?;
    Ok(binary)
}
