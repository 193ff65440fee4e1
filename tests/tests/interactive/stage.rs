//! A prompt on a terminal.

use std::time::Duration;

use tandem_tests::TestResult;
use tandem_tests::host_lock::{self, HostLock};
use tandem_tests::leftovers::Snapshot;
use tandem_tests::terminal::Terminal;

pub(crate) const TANDEM: &str = env!("CARGO_BIN_EXE_tandem-under-test");

/// As long a name as the kernel keeps.
pub(crate) const COMM: &str = "tandem-under-te";

pub(crate) const PROMPT: &str = ">>> ";

pub(crate) const SCRIPT: &str = r#"# /// script
# requires-python = ">=3.11"
# [tool.tandem.machines.m]
# backend = "container"
# ///
m.succeed("echo once >> /root/runs")
"#;

/// What a shell does after the prompt, for which it needs the terminal's foreground and its modes.
const AFTER: &str = r#"echo "status=$?"; stty -a; read -r line && echo "read=$line""#;

pub(crate) struct Stage {
    pub(crate) terminal: Terminal,
    before: Snapshot,
    _lock: HostLock,
}

impl Stage {
    /// A prompt with these options and this script.
    pub(crate) fn open(options: &str, script: &str) -> TestResult<Self> {
        let lock = host_lock::alone()?;
        let before = Snapshot::take(&[])?;
        let line = format!("{TANDEM} repl {options} test.py; {AFTER}");
        let terminal = Terminal::open(&["sh", "-c", &line], &[("test.py", script)])?;
        Ok(Self { terminal, before, _lock: lock })
    }

    /// Types a line at the prompt, and waits until it shows this.
    pub(crate) fn says(&mut self, line: &str, wanted: &str) -> TestResult<String> {
        self.terminal.says(PROMPT, line, wanted)
    }

    /// Checks that the prompt ends with this status, that the terminal is again as it was, and that nothing is left.
    pub(crate) fn ends(mut self, status: &str) -> TestResult {
        self.terminal.shows(&format!("status={status}\r\n"))?;
        let modes = self.terminal.shows("extproc")?;
        for mode in ["isig", "icanon", "echo", "icrnl", "opost"] {
            assert!(modes.contains(&format!(" {mode} ")) || modes.contains(&format!("\n{mode} ")), "{mode}: {modes}");
        }
        self.terminal.types("typed\r")?;
        self.terminal.shows("read=typed")?;
        let (pen, _directory) = self.terminal.ended()?;
        self.before.restored_within(Duration::from_secs(2), &[&pen])?;
        Ok(())
    }
}
