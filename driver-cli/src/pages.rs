//! What is generated from the command line's definition: completions and manual pages.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::CommandLine;

/// Writes the completions of a shell.
pub(crate) fn completions(shell: Shell, to: &mut dyn Write) -> io::Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::command(), "tandem", &mut text);
    to.write_all(&text)
}

/// Writes the manual page of the program or of one of its commands.
pub(crate) fn manual(command: Option<&str>, to: &mut dyn Write) -> io::Result<()> {
    let mut program = CommandLine::command().disable_help_subcommand(true);
    // Building it gives each command its whole name, as in tandem-run(1).
    program.build();
    let page = match command {
        None => program,
        Some(name) => program.find_subcommand(name).cloned().ok_or(io::ErrorKind::NotFound)?,
    };
    clap_mangen::Man::new(page).render(to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::MANUAL_PAGES;

    #[test]
    fn completions_know_the_options() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut text = Vec::new();
            completions(shell, &mut text).unwrap();
            assert!(String::from_utf8(text).unwrap().contains("global-timeout"), "{shell}");
        }
    }

    #[test]
    fn there_is_a_page_for_the_program_and_each_command() {
        let page = |command| {
            let mut text = Vec::new();
            manual(command, &mut text).map(|()| String::from_utf8(text).unwrap())
        };
        let program = page(None).unwrap();
        assert!(program.contains(".TH tandem 1") && program.contains("tandem\\-run(1)"), "{program}");
        let run = page(Some("run")).unwrap();
        assert!(run.contains(".TH tandem-run 1") && run.contains("global\\-timeout"), "{run}");
        for name in MANUAL_PAGES {
            page(Some(name)).unwrap();
        }
    }
}
