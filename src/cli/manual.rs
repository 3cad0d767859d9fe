//! The man page: one page for the program, with a section for each command, so
//! that `man tenantry` answers without a second look.

use anyhow::Result;
use clap::{Command, CommandFactory as _};
use clap_mangen::Man;

use super::args::Cli;

/// The page, in roff.
pub fn page() -> Result<String> {
    let mut command = Cli::command();
    command.build();
    let mut page = Vec::new();
    let man = Man::new(command.clone());
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    sections(&command, &mut page)?;
    man.render_extra_section(&mut page)?;
    man.render_version_section(&mut page)?;
    Ok(String::from_utf8(page)?)
}

fn sections(command: &Command, page: &mut Vec<u8>) -> Result<()> {
    // `help` repeats the whole tree below it.
    for below in command.get_subcommands().filter(|c| c.get_name() != "help") {
        if below.has_subcommands() {
            sections(below, page)?;
            continue;
        }
        let own = below.get_arguments().filter(|arg| !arg.is_global_set());
        let own: Vec<_> = own.filter(|arg| arg.get_id() != "help").cloned().collect();
        let about = below.get_about().cloned().unwrap_or_default();
        let name = below.get_bin_name().unwrap_or(below.get_name()).to_owned();
        let mut shown = Command::new("tenantry").about(about);
        shown = shown.disable_help_flag(true).args(own);
        if let Some(after) = below.get_after_help() {
            shown = shown.after_help(after.clone());
        }
        let man = Man::new(shown);
        let mut section = Vec::new();
        man.render_description_section(&mut section)?;
        man.render_options_section(&mut section)?;
        man.render_extra_section(&mut section)?;
        // Its sections become parts of one that carries the command's name.
        let section = String::from_utf8(section)?
            .replace(".SH DESCRIPTION\n", "")
            .replace(".SH EXTRA\n", ".PP\n")
            .replace(".SH ", ".SS ");
        let head = format!(".SH \"{name}\"\n");
        page.extend_from_slice(head.as_bytes());
        page.extend_from_slice(section.as_bytes());
    }
    Ok(())
}
