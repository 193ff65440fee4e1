//! Writes what makes a root the machine's own ([`driver_core::guest_files`]) into its files.

use std::io;

use driver_core::backend::StartRequest;
use driver_core::guest_files::{Change, changes, machine_id};

use crate::tree::Tree;

/// Makes all changes of a machine's first boot.
pub(crate) fn write(tree: &Tree, request: &StartRequest) -> io::Result<()> {
    for change in changes(request, &machine_id()?, |directory| tree.list(directory))? {
        match change {
            Change::Write { path, mode, content } => tree.write(&path, &content, mode)?,
            Change::Link { path, target } => tree.link(&path, &target)?,
            Change::Remove { path } => tree.remove(&path)?,
            Change::EmptyRootPassword => empty_root_password(tree)?,
        }
    }
    Ok(())
}

/// Lets root in without a password (shadow(5), passwd(5)).
fn empty_root_password(tree: &Tree) -> io::Result<()> {
    for file in ["/etc/shadow", "/etc/passwd"] {
        match tree.read(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok(text) => {
                let shadowed = file == "/etc/passwd" && text.lines().any(|line| line.starts_with("root:x:"));
                if !shadowed {
                    tree.overwrite(file, &without_root_password(&text))?;
                }
            }
        }
    }
    Ok(())
}

fn without_root_password(text: &str) -> String {
    text.lines()
        .map(|line| match line.strip_prefix("root:").and_then(|rest| rest.split_once(':')) {
            Some((_password, rest)) => format!("root::{rest}\n"),
            None => format!("{line}\n"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_roots_password_goes() {
        let shadow = "root:$y$abc:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\nrooted:!:1::::::\n";
        let expected = "root::19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\nrooted:!:1::::::\n";
        assert_eq!(without_root_password(shadow), expected);
    }
}
