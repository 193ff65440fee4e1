//! The container's journal, followed by its own journalctl(1).

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use driver_core::event::Recorder;
use driver_core::journal::{ENTRY_MAX, Entry};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::time::sleep;

use crate::channel::Channel;
use crate::exec::{NO_SHELL, Shell};

/// Times between two looks for bash: an init may still be filling the root.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How often is looked: for some minutes.
const LOOKS: u32 = 300;

/// Waits until there is a journal, then prints its entries for ever. The wait's descriptor never has anything to read.
///
/// It goes to the background at once, so that it becomes a child of the machine's own pid 1: systemd-shutdown(8) waits ten seconds for
/// processes that are not. Its working directory keeps no file system busy.
fn script(cursor: Option<&str>) -> String {
    // Cursors are made of letters, digits, `=` and `;` (journalctl(1), `--show-cursor`); they come from the guest.
    let after = cursor.map(|cursor| format!(" --after-cursor='{}'", cursor.replace('\'', ""))).unwrap_or_default();
    format!(
        "cd /; exec 2>/dev/null {{pause}}<> <(:)
(until [ -d /run/log/journal -o -d /var/log/journal ]; do read -rt 0.02 -u $pause; done
exec journalctl --follow --no-tail --output=json --quiet --all{after}) &"
    )
}

/// Follows the journal until the machine is gone, from after `cursor` on; returns the last entry's cursor.
pub(crate) async fn follow(
    shell: &Shell,
    channel: &Channel,
    recorder: &Recorder,
    cursor: Option<String>,
) -> Option<String> {
    let mut last = cursor;
    // A machine without journalctl, or one that goes away meanwhile, ends the record of its journal and nothing else.
    if let Err(error) = read(shell, channel, recorder, &mut last).await {
        tracing::debug!(%error, "the journal cannot be followed");
    }
    last
}

async fn read(shell: &Shell, channel: &Channel, recorder: &Recorder, last: &mut Option<String>) -> io::Result<()> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let null = || std::fs::OpenOptions::new().read(true).write(true).open("/dev/null").map(OwnedFd::from);
    let fds = [null()?, write, null()?];
    let argv = ["bash", "--norc", "-c", &script(last.as_deref())].map(|word| word.as_bytes().to_vec());
    let (mut pause, mut looks) = (FIRST_PAUSE, 0);
    while shell.start(channel, argv.clone().into(), &fds).await?.ended().await? == NO_SHELL {
        looks += 1;
        if looks == LOOKS {
            return Err(io::Error::other("there is no bash"));
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    drop(fds);
    let mut reader = BufReader::new(tokio::net::unix::pipe::Receiver::from_owned_fd(read)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut reader).take(ENTRY_MAX as u64).read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        if let Some(entry) = Entry::parse(&line) {
            entry.record(recorder);
            *last = entry.cursor().map(str::to_owned);
        }
    }
}
