//! Reading text from a picture with tesseract.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::need::{self, Cure, Need};

use super::picture::{BadPicture, Reading};

/// How long one run may take. A large screen takes some seconds.
const LIMIT: Duration = Duration::from_secs(60);

/// Lets no more than a quarter of the cores read at a time, of all machines together.
static TURNS: LazyLock<Semaphore> = LazyLock::new(|| {
    let allowed = std::env::var("NIX_BUILD_CORES").ok();
    Semaphore::new(at_once(allowed.as_deref()))
});

/// How many may read at a time. `allowed` are the cores that a Nix build was given; 0 of them, or none, stands for all of the host's.
fn at_once(allowed: Option<&str>) -> usize {
    let allowed = allowed.and_then(|cores| cores.parse().ok()).filter(|cores| *cores > 0);
    let cores = allowed.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
    (cores / 4).clamp(1, Semaphore::MAX_PERMITS)
}

/// The program.
#[derive(Clone, Debug)]
pub(super) struct Tesseract {
    program: PathBuf,
}

/// Why a picture could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    #[error("the screen's picture cannot be processed: {0}")]
    Picture(#[from] BadPicture),
    #[error("tesseract could not be run: {0}")]
    Run(#[from] std::io::Error),
    #[error("OCR failed with exit code {code}: {said}")]
    Failed { code: i32, said: String },
    #[error("tesseract had not read the screen after {} s", .0.as_secs())]
    Late(Duration),
}

/// Lets the kernel end the calling process when the driver is killed. At the latest it ends when it has read its picture.
fn end_with_us() -> std::io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?)
}

/// What reads text from the screens of machines of `group`.
pub fn tesseract(group: &str) -> Need {
    let cure = Cure::package("tesseract-ocr", "tesseract", "tesseract");
    let program = Tesseract::find().map(|tesseract| tesseract.program);
    let need = need::program(group, "tesseract", "it reads text from screens", program, cure);
    need.or_limited("it is not on the PATH: get_screen_text and wait_for_text fail")
}

impl Tesseract {
    /// The one on the `PATH`.
    pub(super) fn find() -> Option<Self> {
        need::find("tesseract").map(|program| Self { program })
    }

    /// The text in a picture. Cancelling it ends the program.
    pub(super) async fn read(&self, png: Arc<Vec<u8>>, reading: Reading) -> Result<String, Unread> {
        let _turn = TURNS.acquire().await;
        let picture = tokio::task::spawn_blocking(move || reading.prepare(png)).await;
        let picture = picture.map_err(std::io::Error::other)??;
        timeout(LIMIT, self.run(&picture)).await.unwrap_or(Err(Unread::Late(LIMIT)))
    }

    async fn run(&self, picture: &[u8]) -> Result<String, Unread> {
        let mut command = Command::new(&self.program);
        // Mode 11 finds text anywhere on the screen. Which of its engines it uses, tesseract finds out by what is installed.
        command.args(["stdin", "stdout", "--psm", "11", "-c", "debug_file=/dev/null"]).env("OMP_THREAD_LIMIT", "1");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        // SAFETY: between fork and exec it makes one system call and touches no memory.
        unsafe { command.pre_exec(end_with_us) };
        let mut child = command.spawn()?;
        let stdin = child.stdin.take();
        let write = async {
            if let Some(mut stdin) = stdin {
                // One that does not read all of it says why by its status.
                let _ = stdin.write_all(picture).await;
            }
        };
        let ((), output) = tokio::join!(write, child.wait_with_output());
        let output = output?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        // As a shell has it.
        let code = output.status.code().or(output.status.signal().map(|signal| 128 + signal)).unwrap_or(-1);
        Err(Unread::Failed { code, said })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_quarter_of_the_cores_reads_at_a_time() {
        for (allowed, expected) in [("1", 1), ("7", 1), ("8", 2), ("64", 16)] {
            assert_eq!(at_once(Some(allowed)), expected, "{allowed}");
        }
        for none in [None, Some("0"), Some(""), Some("many")] {
            assert_eq!(at_once(none), at_once(None), "{none:?}");
        }
    }

    #[tokio::test]
    async fn a_failed_reading_is_told_in_upstreams_words() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("tesseract");
        for (script, told) in [
            ("echo no data >&2; exit 3", "OCR failed with exit code 3: no data"),
            ("kill -9 $$", "OCR failed with exit code 137: "),
        ] {
            std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
            let tesseract = Tesseract { program: program.clone() };
            assert_eq!(tesseract.run(b"picture").await.unwrap_err().to_string(), told);
        }
    }
}
