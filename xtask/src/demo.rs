//! The whole product, built in release and running on generated data.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::Result;
use crate::command::{cargo, run};
use crate::{place, web};

/// Builds and then becomes the server, so that signals reach it directly.
pub fn start(args: &[String]) -> Result<()> {
    web::build()?;
    run(&mut cargo(&["build", "--release", "--package", "tenantry"]))?;
    let target = place::target()?;
    let mut server = Command::new(target.join("release/tenantry"));
    server.args(["serve", "--demo"]);
    let names_folder = |arg: &String| arg == "--data" || arg.starts_with("--data=");
    if !args.iter().any(names_folder) {
        server.arg("--data").arg(target.join("demo"));
    }
    let why = server.args(args).exec();
    Err(format!("{}: {why}", server.get_program().to_string_lossy()))
}
