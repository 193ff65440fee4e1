//! A person at a terminal: a shell command in a pen, on a pseudo-terminal that is its session's.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal};
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;
use tempfile::TempDir;

use crate::TestResult;
use crate::pen::Pen;

/// What has Python find no prompt but its own, whatever is installed: the others look otherwise.
const STANDARD_PROMPT: &str = "import sys\nsys.modules['IPython'] = sys.modules['ptpython'] = None\n";

/// A terminal with a command on it. Dropping it hangs up.
#[derive(Debug)]
pub struct Terminal {
    master: File,
    child: Child,
    shown: Arc<Mutex<Vec<u8>>>,
    /// What of `shown` has been looked at.
    seen: usize,
    /// Where everything that the command starts is.
    pub pen: Pen,
    /// The directory that it runs in.
    pub directory: TempDir,
}

impl Terminal {
    /// Has `shell` run a command in a directory that holds these files.
    pub fn open(shell: &[&str], files: &[(&str, &str)]) -> TestResult<Self> {
        let directory = tempfile::Builder::new().prefix("tandem-test-").tempdir()?;
        for (name, content) in files {
            fs::write(directory.path().join(name), content)?;
        }
        let site = directory.path().join("site");
        fs::create_dir(&site)?;
        fs::write(site.join("sitecustomize.py"), STANDARD_PROMPT)?;
        let (master, slave) = pseudo_terminal()?;
        let slave = File::from(slave);
        let pen = Pen::new()?;
        // It has the terminal as its controlling terminal, as the shell of a login, and signals do what they do there: whoever runs the tests
        // in the background may ignore some.
        let mut command = Command::new("env");
        command.args(["--default-signal", "setsid", "--ctty"]).args(shell).current_dir(directory.path());
        command.env("TERM", "xterm").env("NO_COLOR", "1").env("XDG_STATE_HOME", directory.path().join("state"));
        command.env("PYTHONPATH", site);
        command.env("PS1", "shell: ").stdin(slave.try_clone()?).stdout(slave.try_clone()?).stderr(slave);
        pen.confine(&mut command)?;
        let child = command.spawn()?;
        drop(command);
        let shown = Arc::<Mutex<Vec<u8>>>::default();
        let (mut from, to) = (master.try_clone()?, shown.clone());
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = from.read(&mut buffer) {
                to.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..length]);
            }
        });
        Ok(Self { master, child, shown, seen: 0, pen, directory })
    }

    /// Types.
    pub fn types(&mut self, keys: &str) -> io::Result<()> {
        self.master.write_all(keys.as_bytes())
    }

    /// Waits until the terminal shows this, after all that was waited for before; returns what is shown up to it.
    pub fn shows(&mut self, wanted: &str) -> TestResult<String> {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let text = String::from_utf8_lossy(&self.shown()[self.seen..]).into_owned();
            if let Some(at) = text.find(wanted) {
                self.seen += at + wanted.len();
                return Ok(text[..at].to_owned());
            }
            if Instant::now() > deadline {
                return Err(format!("no `{wanted}` in what the terminal shows:\n{text}").into());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Types a line once there is a prompt, and waits until it shows this.
    pub fn says(&mut self, prompt: &str, line: &str, wanted: &str) -> TestResult<String> {
        self.shows(prompt)?;
        self.types(&format!("{line}\r"))?;
        // It shows the line itself, too.
        self.shows("\n")?;
        self.shows(wanted)
    }

    /// Sets the size of the window.
    pub fn resize(&self, rows: u16, columns: u16) -> io::Result<()> {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        Ok(rustix::termios::tcsetwinsize(&self.master, size)?)
    }

    /// Sends a signal to a child of the shell's with this name (`comm` of proc(5)).
    pub fn signal(&self, name: &str, signal: Signal) -> TestResult {
        let shell = self.child.id().to_string();
        let is_it = |pid: &i32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.contains(&format!("({name})"))
                && stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)) == Some(&shell)
        };
        let found = self.pen.processes().into_iter().find(is_it).and_then(Pid::from_raw);
        rustix::process::kill_process(found.ok_or_else(|| format!("no child {name}"))?, signal)?;
        Ok(())
    }

    /// Waits for the shell's end and hands out where it ran.
    pub fn ended(mut self) -> TestResult<(Pen, TempDir)> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                self.child.kill()?;
                let shown = String::from_utf8_lossy(&self.shown()).into_owned();
                return Err(format!("it still runs; the terminal shows:\n{shown}").into());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok((self.pen, self.directory))
    }

    fn shown(&self) -> MutexGuard<'_, Vec<u8>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Both sides of a new pseudo-terminal: ours, and the one for the program.
pub fn pseudo_terminal() -> TestResult<(File, OwnedFd)> {
    let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    rustix::pty::grantpt(&master)?;
    rustix::pty::unlockpt(&master)?;
    let path = rustix::pty::ptsname(&master, Vec::new())?.into_string()?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok((master.into(), rustix::fs::open(path, flags, Mode::empty())?))
}
