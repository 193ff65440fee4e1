//! Files: waiting for one, and copying in both directions.

use std::io::{self, Read, Write, pipe};
use std::path::{Component, Path};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{sleep, timeout};

use super::archive::{Place, pack, unpack};
use super::boot::Boot;
use super::condition::{Condition, Cost};
use super::shell::{quote, strict};
use super::{DEFAULT_TIMEOUT, GRACE, Machine};
use crate::error::{Error, MachineError};
use crate::event::Level;
use crate::guest::{Command, Output};

/// A copy during which no byte moved for so long is given up.
const STALLED: Duration = Duration::from_secs(120);

impl Machine {
    /// Waits until something exists at a path in the guest.
    pub async fn wait_for_file(&self, path: &str, timeout: Duration) -> Result<(), Error> {
        let condition = Condition {
            what: format!("waiting for file '{path}'"),
            functions: format!("path={}\nholds() {{ [[ -e \"$path\" ]]; }}", quote(path)),
            otherwise: "no such file".into(),
            looks: Cost::Little,
        };
        self.wait_for(&condition, timeout).await
    }

    /// Copies a file, or a directory with all that is in it, from the host to `target` in the guest, or into it if that is a directory there.
    ///
    /// Modes are kept, the owner is root, symbolic links are followed. Directories above the target are made; what is there is merged with
    /// or replaced.
    pub async fn copy_from_host(&self, source: &Path, target: &str) -> Result<(), Error> {
        const VERB: &str = "copy_from_host";
        let shown = source.display();
        let no_name = || self.cannot(VERB, &format!("{shown} has no name that it could be copied under"));
        let real =
            source.canonicalize().map_err(|error| self.cannot(VERB, &format!("{shown} on the host: {error}")))?;
        let name =
            source.file_name().or(real.file_name()).and_then(|name| name.to_str()).ok_or_else(no_name)?.to_owned();
        let what = format!("copying {shown} from the host to {target}");
        let step = self.step(what, |machine| async move {
            let refuse = |why: String| machine.cannot(VERB, &why);
            let boot = machine.connect().await?;
            let resolved = machine.quietly(&boot, &resolve(target, &name), DEFAULT_TIMEOUT).await?;
            let resolved = checked(&resolved).map_err(refuse)?.text();
            let (parent, name) = resolved.rsplit_once('/').unwrap_or((".", &resolved));

            let (reader, writer) = pipe().map_err(|error| machine.broken(VERB, error))?;
            let moved = Arc::<AtomicU64>::default();
            let mut command = Command::new(strict(&format!(
                "keep=; [[ \"$(tar --version)\" != *GNU* ]] || keep=--no-overwrite-dir\nexec tar -xpf - $keep -C {}",
                quote(if parent.is_empty() { "/" } else { parent })
            )));
            command.stdin = Some(reader.into());
            let counted = Counted { inner: writer, moved: moved.clone() };
            let (source, name) = (source.to_owned(), name.to_owned());
            let packing = spawn_blocking(move || pack(&source, name.as_ref(), counted));

            let (output, packed) = machine.stream(VERB, &boot, command, &moved, packing).await?;
            match packed {
                // The guest's tar says why it did not read on.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe && output.status != 0 => {}
                Err(error) => return Err(machine.cannot(VERB, &error.to_string())),
                Ok(()) => {}
            }
            checked(&output).map(drop).map_err(refuse)
        });
        step.await
    }

    /// Copies a file, or a directory with all that is in it, from the guest to `OUTPUT/target_dir/BASENAME` on the host.
    ///
    /// Permissions are kept but for setuid bits, owners are not. What is there is merged with or replaced. Devices, pipes and symbolic links
    /// that lead out of the copied directory are left out, with a warning: the guest is not trusted.
    pub async fn copy_from_machine(&self, source: &str, target_dir: &Path) -> Result<(), Error> {
        const VERB: &str = "copy_from_machine";
        if !target_dir.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
            let why = format!("the target directory {} is not below the output directory", target_dir.display());
            return Err(self.cannot(VERB, &why));
        }
        let Some(name) = Path::new(source).file_name() else {
            return Err(self.cannot(VERB, &format!("'{source}' has no name that it could be copied under")));
        };
        let path = target_dir.join(name);
        let what = format!("copying {source} from the machine");
        let step = self.step(what, |machine| async move {
            let refuse = |why: String| machine.cannot(VERB, &why);
            let boot = machine.connect().await?;
            let kind = machine.quietly(&boot, &classify(source), DEFAULT_TIMEOUT).await?;
            let directory = match &*checked(&kind).map_err(refuse)?.text() {
                "directory" => true,
                "file" => false,
                _ => return Err(machine.cannot(VERB, &format!("'{source}' does not exist in the machine"))),
            };

            let (reader, writer) = pipe().map_err(|error| machine.broken(VERB, error))?;
            let moved = Arc::<AtomicU64>::default();
            let mut command = Command::new(strict(&send(source, directory)));
            command.stdout = Some(writer.into());
            let mut counted = Counted { inner: reader, moved: moved.clone() };
            let root = machine.shared.options.output.clone();
            let unpacking = spawn_blocking(move || {
                std::fs::create_dir_all(&root)?;
                let left_out = unpack(&mut counted, &Place { root, path, directory })?;
                // The rest of the last record: a tar that cannot write it would fail.
                io::copy(&mut counted.take(1 << 20), &mut io::sink())?;
                Ok(left_out)
            });

            let (output, unpacked) = machine.stream(VERB, &boot, command, &moved, unpacking).await?;
            let left_out = match unpacked {
                Ok(left_out) => left_out,
                // What the guest's tar says is more than that its archive ended early.
                Err(_) if !matches!(output.status, 0 | 1 | 2 | 141) => Vec::new(),
                Err(error) => return Err(machine.broken(VERB, error).into()),
            };
            for what in left_out {
                machine.recorder.message(Level::Warning, format!("left out in copying {source}: {what}"));
            }
            if output.status == 1 {
                // GNU tar: a file changed while it was read, as logs do.
                machine.show(&output);
                return Ok(());
            }
            checked(&output).map(drop).map_err(refuse)
        });
        step.await
    }

    /// Runs one end of a copy in the guest while the other runs in `task`; returns what both came to.
    async fn stream<T>(
        &self,
        verb: &str,
        boot: &Boot,
        command: Command,
        moved: &AtomicU64,
        task: JoinHandle<io::Result<T>>,
    ) -> Result<(Output, io::Result<T>), Error> {
        let stalled = async {
            loop {
                let before = moved.load(Ordering::Relaxed);
                sleep(STALLED).await;
                if before == moved.load(Ordering::Relaxed) {
                    break;
                }
            }
        };
        let hangs = |cause| Error::from(MachineError::new(self.name(), verb, cause));
        let output = tokio::select! {
            biased;
            output = boot.run(verb, command) => output?,
            () = stalled => return Err(hangs("nothing moved for two minutes")),
        };
        match timeout(GRACE, task).await {
            Ok(Ok(result)) => Ok((output, result)),
            Ok(Err(panic)) => Ok((output, Err(io::Error::other(panic)))),
            Err(_) => Err(hangs("the guest's end of the copy is over, but something there keeps its pipe open")),
        }
    }

    fn broken(&self, verb: &str, error: io::Error) -> MachineError {
        MachineError::new(self.name(), verb, error.to_string()).source(error)
    }
}

/// The output of a command that succeeded, or what one that failed has said.
fn checked(output: &Output) -> Result<&Output, String> {
    if output.status == 0 {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("in the guest: {} (exit code {})", said.trim(), output.status))
}

/// A script that tells where something called `name` goes when it is copied to `target`, by the rule of cp(1), and makes what is above it.
fn resolve(target: &str, name: &str) -> String {
    let target = match target.trim_end_matches('/') {
        "" => "/",
        trimmed => trimmed,
    };
    let target = if target.contains('/') { target.into() } else { format!("./{target}") };
    format!(
        "target={}
[[ ! -d \"$target\" ]] || target=${{target%/}}/{}
parent=${{target%/*}}
mkdir -p -- \"${{parent:-/}}\"
printf %s \"$target\"",
        quote(&target),
        quote(name)
    )
}

fn classify(source: &str) -> String {
    format!(
        "source={}
if [[ -d \"$source\" ]]; then printf directory; elif [[ -e \"$source\" ]]; then printf file; fi",
        quote(source)
    )
}

/// A script that writes a directory's contents, or a file, to standard output.
fn send(source: &str, directory: bool) -> String {
    let path = if source.contains('/') { source.to_owned() } else { format!("./{source}") };
    if directory {
        return format!("exec tar -cf - -C {} .", quote(&path));
    }
    let (parent, name) = path.trim_end_matches('/').rsplit_once('/').unwrap_or((".", &path));
    // A link to a file stands for the file.
    format!("exec tar -chf - -C {} -- {}", quote(if parent.is_empty() { "/" } else { parent }), quote(name))
}

/// Counts the bytes that move.
struct Counted<T> {
    inner: T,
    moved: Arc<AtomicU64>,
}

impl<T: Read> Read for Counted<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.moved.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl<T: Write> Write for Counted<T> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(buffer)?;
        self.moved.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
