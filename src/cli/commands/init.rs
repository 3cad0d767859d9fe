//! `tenantry init`: from an empty folder to an installation that can be served.

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use super::setup::{FIRST_TENANT, set_up};
use crate::base::owner;
use crate::cli::args::Init;
use crate::cli::client::Target;
use crate::cli::output::note;
use crate::cli::session::{Session, make_data_folder};
use crate::cli::{Context, WrongConfig, password};
use crate::config::{self, Config, Flags, Sources};
use crate::domain::EXAMPLE_APP;

const APP_FILE: &str = "app.toml";
const EMAIL: &str = "admin@localhost";

pub fn run(context: &Context, init: &Init) -> Result<()> {
    owner::act_as_owner(&init.dir)?;
    fs::create_dir_all(&init.dir).with_context(|| format!("cannot make {}", init.dir.display()))?;
    let file = match &context.common.config {
        Some(file) => file.clone(),
        None => init.dir.join(config::FILE_NAME),
    };
    write_unless_there(&file, config::COMMENTED_DEFAULT)?;
    let app_file = init.dir.join(APP_FILE);
    write_unless_there(&app_file, EXAMPLE_APP)?;
    let app = fs::read_to_string(&app_file)
        .with_context(|| format!("cannot read {}", app_file.display()))?;
    let config = load(context, &file)?;
    make_data_folder(&config.data)?;

    let session = Session::open(&config, "init")?;
    if !session.list(&Target::new("/v1/operators"))?.is_empty() {
        bail!(
            "{} holds an installation already; `tenantry operator add` makes further operators",
            config.data.display()
        );
    }
    let email = email(init)?;
    let password = password::obtain(init.password_stdin, !init.yes, &email)?;
    let key = set_up(&session, app, &email, &password.text)
        .map_err(|error| super::apply::explained(error, &app_file))?;
    session.close()?;

    let shown = password.made.then_some(&password.text);
    let result = json!({
        "operator": {"email": email, "password": shown},
        "tenant": FIRST_TENANT,
        "key": key,
        "data": config.data,
    });
    context.out.result(&result, || {
        let known = "(the one you gave)";
        let shown = shown.map_or(known, String::as_str);
        format!(
            "operator  {email}\npassword  {shown}\ntenant    {FIRST_TENANT}\nkey       {key}\ndata      {}\n\n\
             The password and the key are not shown again. Next: {}",
            config.data.display(),
            serve_command(&init.dir, context.common.config.as_deref(), &file),
        )
    })
}

/// How to start what was just made, from where the caller stands.
fn serve_command(dir: &Path, named: Option<&Path>, file: &Path) -> String {
    if named.is_none() && dir == Path::new(".") {
        "tenantry serve".to_owned()
    } else {
        format!("tenantry serve --config {}", file.display())
    }
}

fn load(context: &Context, file: &Path) -> Result<Config> {
    let flags = Flags {
        data: context.common.data.clone(),
        listen: None,
    };
    let sources = Sources::of_process(Some(file.to_owned()), flags);
    Ok(Config::load(sources).map_err(WrongConfig)?)
}

fn write_unless_there(path: &Path, text: &str) -> Result<()> {
    let opened = OpenOptions::new().write(true).create_new(true).open(path);
    match opened {
        Ok(mut file) => file.write_all(text.as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            note(format_args!(
                "{} is there already and is kept",
                path.display()
            ));
            Ok(())
        }
        Err(error) => Err(error),
    }
    .with_context(|| format!("cannot write {}", path.display()))
}

fn email(init: &Init) -> Result<String> {
    if let Some(email) = &init.email {
        return Ok(email.clone());
    }
    if init.yes || init.password_stdin || !io::stdin().is_terminal() {
        return Ok(EMAIL.to_owned());
    }
    let mut err = io::stderr();
    write!(err, "The first operator's email address [{EMAIL}]: ")?;
    err.flush()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let line = line.trim();
    Ok(if line.is_empty() { EMAIL } else { line }.to_owned())
}
