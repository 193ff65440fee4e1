//! The screen: pictures of it, and the text on it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use super::boot::Boot;
use super::ocr::Tesseract;
use super::pattern::Pattern;
use super::picture::Reading;
use super::start::Again;
use super::{DEVICE, GRACE, Machine};
use crate::error::{Error, MachineError};
use crate::event::Level;
use crate::wait::{Found, Look, Wait};

/// How often a wait takes a picture: reading one keeps a core busy for a good part of a second.
const INTERVAL: Duration = Duration::from_millis(500);

impl Machine {
    /// Saves what the screen shows as a PNG file and returns its path.
    ///
    /// A name without a `.` gets the ending `.png`. One without a `/` is put into the output directory; any other is taken as it is, and its
    /// directory must exist.
    pub async fn screenshot(&self, file: &str) -> Result<PathBuf, Error> {
        const VERB: &str = "screenshot";
        let path = place(file, &self.shared.options.output).map_err(|why| self.cannot(VERB, &why))?;
        let image = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let title = format!("making screenshot {}", path.display());
        let step = self.step_with(title, [("image".to_owned(), image)].into(), |machine| async move {
            let refuse = |error: std::io::Error| machine.cannot(VERB, &format!("{}: {error}", path.display()));
            if !file.contains('/') {
                tokio::fs::create_dir_all(&machine.shared.options.output).await.map_err(refuse)?;
            }
            let boot = machine.launched(Again::NotAfterDeath).await?;
            let png = machine.shot(VERB, &boot).await?;
            tokio::fs::write(&path, png).await.map_err(refuse)?;
            Ok(path)
        });
        step.await
    }

    /// The text on the screen, as tesseract reads it from the picture as it is.
    pub async fn screen_text(&self) -> Result<String, Error> {
        let mut texts = self.texts("screen_text").await?;
        texts.next().await.unwrap_or_else(|| Ok(String::new()))
    }

    /// Texts that may be on the screen: one from the picture as it is, then others from processed ones, in which tesseract can read what
    /// it can't in the first. Each is read when it is asked for.
    pub async fn screen_text_variants(&self) -> Result<ScreenTexts, Error> {
        self.texts("screen_text_variants").await
    }

    /// Waits until the screen shows text that matches `pattern`, a regular expression in the syntax of the crate `regex`. Stops at the first
    /// variant of the text that matches.
    pub async fn wait_for_text(&self, pattern: &str, timeout: Duration) -> Result<(), Error> {
        const VERB: &str = "wait_for_text";
        let wanted = &Pattern::new(pattern).map_err(|why| self.cannot(VERB, &why))?;
        let what = format!("waiting for {pattern} to appear on screen");
        let what = &*what;
        let step = self.step(what, |machine| async move {
            let (boot, tesseract) = machine.readable(VERB).await?;
            let wait = Wait::new(machine.name(), what, timeout);
            let gone = async { boot.over(what).await.into() };
            let sight = tokio::sync::Mutex::new(Sight::default());
            let found = wait.until(gone, |look| {
                let (machine, boot, sight, tesseract) = (&machine, &boot, &sight, &tesseract);
                async move { machine.look_at_screen(boot, tesseract, &mut *sight.lock().await, wanted, look).await }
            });
            let found = found.await;
            if found.is_err() {
                let texts = &sight.lock().await.texts;
                machine.recorder.message(Level::Info, format!("Last OCR attempt failed. Text was: {texts:?}"));
            }
            found
        });
        step.await
    }

    /// Looks whether a text on the screen matches.
    async fn look_at_screen(
        &self,
        boot: &Boot,
        tesseract: &Tesseract,
        sight: &mut Sight,
        wanted: &Pattern,
        look: Look,
    ) -> Result<Found<()>, Error> {
        // The last look must have a chance: what is read then takes longer than the second that others have.
        let limit = if look.last { GRACE } else { look.limit };
        let read = async {
            if let Some(next) = sight.next.filter(|_| !look.last) {
                sleep_until(next).await;
            }
            sight.next = Some(Instant::now() + INTERVAL);
            let png = Arc::new(self.shot("wait_for_text", boot).await?);
            if sight.is_read && sight.png == png {
                return Ok(false);
            }
            let mut texts = ScreenTexts::new(self.name(), tesseract.clone(), png.clone());
            let mut seen = Vec::new();
            while let Some(text) = texts.next().await {
                let text = text?;
                if wanted.matches(&text) {
                    return Ok(true);
                }
                seen.push(text);
            }
            *sight = Sight { png, texts: seen, is_read: true, next: sight.next };
            Ok(false)
        };
        match timeout(limit, read).await {
            Ok(Ok(true)) => Ok(Found::Holds(())),
            Ok(Ok(false)) | Err(_) => Ok(Found::Instead(sight.told())),
            Ok(Err(error)) => Err(error),
        }
    }

    async fn texts(&self, verb: &str) -> Result<ScreenTexts, Error> {
        let (boot, tesseract) = self.readable(verb).await?;
        let png = self.shot(verb, &boot).await?;
        Ok(ScreenTexts::new(self.name(), tesseract, Arc::new(png)))
    }

    /// The machine with its screen, and what reads it.
    async fn readable(&self, verb: &str) -> Result<(Arc<Boot>, Tesseract), Error> {
        let boot = self.launched(Again::NotAfterDeath).await?;
        if boot.guest.screen().is_none() {
            return Err(self.lacks(verb, "screen"));
        }
        Ok((boot, self.tesseract(verb)?))
    }

    async fn shot(&self, verb: &str, boot: &Boot) -> Result<Vec<u8>, Error> {
        let screen = boot.guest.screen().ok_or_else(|| self.lacks(verb, "screen"))?;
        Ok(boot.race(verb, Some(DEVICE), screen.shot()).await?)
    }

    fn tesseract(&self, verb: &str) -> Result<Tesseract, Error> {
        Tesseract::find().ok_or_else(|| {
            let cause = "OCR requested but `tesseract` is not available";
            MachineError::new(self.name(), verb, cause)
                .cure("install it: `apt-get install tesseract-ocr` on Debian")
                .into()
        })
    }
}

/// What a wait saw when it last looked.
#[derive(Default)]
struct Sight {
    png: Arc<Vec<u8>>,
    texts: Vec<String>,
    /// All texts of the picture were read.
    is_read: bool,
    /// When to look again.
    next: Option<Instant>,
}

impl Sight {
    fn told(&self) -> String {
        if self.is_read { format!("the text {:?}", self.texts) } else { "no text was read in time".into() }
    }
}

/// Texts that may be on a screen, most likely ones first, each read when it is asked for ([`Machine::screen_text_variants`]).
#[derive(Debug)]
pub struct ScreenTexts {
    machine: String,
    tesseract: Tesseract,
    png: Arc<Vec<u8>>,
    left: std::slice::Iter<'static, Reading>,
}

impl ScreenTexts {
    fn new(machine: &str, tesseract: Tesseract, png: Arc<Vec<u8>>) -> Self {
        Self { machine: machine.into(), tesseract, png, left: Reading::ALL.iter() }
    }

    /// The next text; none after the last. A call that is cancelled skips one.
    pub async fn next(&mut self) -> Option<Result<String, Error>> {
        let reading = *self.left.next()?;
        let text = self.tesseract.read(self.png.clone(), reading).await;
        Some(text.map_err(|error| {
            MachineError::new(&*self.machine, "read the text on the screen", error.to_string()).source(error).into()
        }))
    }
}

/// Where a screenshot goes.
fn place(file: &str, output: &Path) -> Result<PathBuf, String> {
    if file.is_empty() || file.ends_with('/') {
        return Err(format!("`{file}` is no name of a file"));
    }
    let mut path = if file.contains('/') { PathBuf::from(file) } else { output.join(file) };
    if !file.contains('.') {
        path.as_mut_os_string().push(".png");
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    match parent {
        Some(parent) if file.contains('/') && !parent.is_dir() => {
            Err(format!("there is no directory {}", parent.display()))
        }
        _ => Ok(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn screenshots_have_a_place() {
        let output = Path::new("/out");
        for (file, expected) in [
            ("a", Ok("/out/a.png")),
            ("a.b", Ok("/out/a.b")),
            ("/tmp/a", Ok("/tmp/a.png")),
            ("./a.png", Ok("./a.png")),
            ("", Err("`` is no name of a file")),
            ("/tmp/", Err("`/tmp/` is no name of a file")),
            ("/no/where", Err("there is no directory /no")),
        ] {
            assert_eq!(place(file, output), expected.map(PathBuf::from).map_err(String::from), "{file}");
        }
    }
}
