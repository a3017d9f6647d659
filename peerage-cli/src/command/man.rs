//! `peerage man`: a page for the program and for each command, generated from the definitions of the arguments.

use std::fs;
use std::io;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use serde::Serialize;

use crate::args::{self, Args};
use crate::exit::{Abort, Exit};
use crate::output;

#[derive(Serialize)]
struct Pages {
    pages: Vec<String>,
}

pub(super) fn run(typed: &args::Man) -> Result<Exit, Abort> {
    let mut pages = Vec::new();
    let mut program = Args::command().disable_help_subcommand(true);
    program.build();
    write(&program, &typed.directory, &mut pages)
        .map_err(|why| Abort::Failed(format!("cannot write manual pages to {}: {why}", typed.directory.display())))?;
    if typed.json {
        output::object(&Pages { pages })?;
    } else {
        pages.iter().try_for_each(|page| output::line(page))?;
    }
    Ok(Exit::Ok)
}

/// Writes the page of a command and of those below it.
fn write(command: &Command, directory: &Path, pages: &mut Vec<String>) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let page = Man::new(command.clone());
    let path = directory.join(page.get_filename());
    let mut text = Vec::new();
    page.render(&mut text)?;
    fs::write(&path, text)?;
    pages.push(path.display().to_string());
    command.get_subcommands().try_for_each(|below| write(below, directory, pages))
}
