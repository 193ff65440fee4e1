//! A way in by SSH, for work by hand: a unix socket of the host that leads to port 22 of the machine.
//!
//! Nobody but the driver's user can use it. It needs nothing of the host but an SSH client with something that connects it to a socket, and
//! of the machine no more than an SSH server.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, Weak};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::boot::Boot;
use super::shell::quote;
use super::{Machine, Shared};
use crate::event::Level;
use crate::guest::Command;

/// The port of SSH servers.
const PORT: u16 = 22;

/// How long a device may take to connect to a port of the guest's.
const CONNECT: Duration = Duration::from_secs(10);

/// Joins standard input and output with the server, by nothing but bash and `cat`. Whichever side ends first, the other does.
const JOIN: &str = "\
exec 3<>/dev/tcp/127.0.0.1/22 || exit 1
exec 4<&0
cat <&4 >&3 &
cat <&3 &
wait -n
kill $(jobs -p) 2>/dev/null
exit 0";

/// Longest path of a unix socket in bytes (unix(7)): its last byte is a NUL.
const SOCKET_PATH_MAX: usize = 107;

/// A machine's way in, until it is dropped.
#[derive(Debug)]
pub(super) struct Backdoor {
    command: String,
    _listener: AbortOnDropHandle<()>,
}

impl Machine {
    /// Opens the way in, by a socket in a directory. It stays until the end of the run, over all starts of the machine.
    pub(crate) fn open_ssh(&self, directory: &Path) -> io::Result<()> {
        let path = directory.join(format!("{}.ssh", self.name()));
        if path.as_os_str().len() > SOCKET_PATH_MAX {
            let message =
                format!("{}: no socket can have so long a path; give the machine a shorter name", path.display());
            return Err(io::Error::other(message));
        }
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        let listener = tokio::spawn(listen(listener, std::sync::Arc::downgrade(&self.shared)));
        let backdoor = Backdoor { command: command(&path, self.name()), _listener: AbortOnDropHandle::new(listener) };
        *self.backdoor() = Some(backdoor);
        Ok(())
    }

    /// The command of a shell that logs in to the machine as root by SSH; none if that was not asked for.
    pub fn ssh_command(&self) -> Option<String> {
        self.backdoor().as_ref().map(|backdoor| backdoor.command.clone())
    }

    pub(super) fn close_ssh(&self) {
        *self.backdoor() = None;
    }

    fn backdoor(&self) -> std::sync::MutexGuard<'_, Option<Backdoor>> {
        self.shared.backdoor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Relays one connection. The error is what people are told.
    async fn relay_ssh(&self, mut client: UnixStream) -> Result<(), String> {
        let boot = self.current().ok_or("it is not running")?;
        if boot.guest.channel().overlap {
            return self.relay_inside(&boot, client).await;
        }
        let mut refused = None;
        if let Some(socket) = self.shared.launch.vsock() {
            match vsock(&socket).await {
                Ok(mut guest) => {
                    let _ = copy_bidirectional(&mut client, &mut guest).await;
                    return Ok(());
                }
                Err(error) => refused = Some(format!("by its vsock device: {error}")),
            }
        }
        let guest = match self.target(PORT) {
            Ok(target) => target.connect().await.map_err(|error| format!("by its LAN, at {}: {error}", target.guest)),
            Err(why) => Err(why),
        };
        match (guest, refused) {
            // Whoever breaks off, the other one notices.
            (Ok(mut guest), _) => drop(copy_bidirectional(&mut client, &mut guest).await),
            (Err(error), None) => return Err(error),
            (Err(error), Some(first)) => return Err(format!("{first}; {error}")),
        }
        Ok(())
    }

    /// Relays by a command inside the machine, which needs no network.
    async fn relay_inside(&self, boot: &Boot, client: UnixStream) -> Result<(), String> {
        let told = |error: io::Error| error.to_string();
        let client = client.into_std().map_err(told)?;
        client.set_nonblocking(false).map_err(told)?;
        let (input, output) = (OwnedFd::from(client.try_clone().map_err(told)?), OwnedFd::from(client));
        let command = Command { stdin: Some(input), stdout: Some(output), ..Command::new(JOIN) };
        let ran = boot.run("ssh", command).await.map_err(|error| error.to_string())?;
        match ran.status {
            0 => Ok(()),
            _ => Err(format!("inside of it: {}", String::from_utf8_lossy(&ran.stderr).trim())),
        }
    }
}

/// The command of a shell that logs in through the socket.
fn command(socket: &Path, machine: &str) -> String {
    let socket = word(&socket.to_string_lossy());
    // By its whole path: the driver may find more programs than whoever types the command.
    let connect = match (find("socat"), find("nc")) {
        (None, Some(nc)) => format!("{nc} -U {socket}"),
        (socat, _) => format!("{} - UNIX-CLIENT:{socket}", socat.as_deref().unwrap_or("socat")),
    };
    // The machine is new each time, and so are its keys.
    let keys = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR";
    let proxy = quote(&format!("ProxyCommand={}", connect.replace('%', "%%")));
    format!("ssh -o User=root {keys} -o {proxy} {machine}")
}

/// A word of a command line, quoted where it must be.
fn word(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    if text.bytes().all(plain) { text.to_owned() } else { quote(text) }
}

/// A program on the `PATH`, as a word of a command line.
fn find(name: &str) -> Option<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).map(|directory| directory.join(name));
    places.find(|file| file.is_file()).map(|file| word(&file.to_string_lossy()))
}

/// Connects to the guest's SSH server through the socket of a device for `AF_VSOCK`, which is told the port in a line.
async fn vsock(socket: &Path) -> Result<UnixStream, String> {
    let connect = async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(format!("CONNECT {PORT}\n").as_bytes()).await?;
        let mut line = Vec::new();
        // Byte by byte, because what follows is the server's.
        while line.last() != Some(&b'\n') && line.len() < 64 {
            line.push(stream.read_u8().await?);
        }
        if line.starts_with(b"OK ") { Ok(stream) } else { Err(io::ErrorKind::ConnectionRefused.into()) }
    };
    match timeout(CONNECT, connect).await {
        Ok(stream) => stream.map_err(|error: io::Error| error.to_string()),
        Err(_) => Err(format!("no answer after {} s", CONNECT.as_secs())),
    }
}

/// Takes connections and relays them. All end when this is dropped.
async fn listen(listener: UnixListener, machine: Weak<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    let Some(shared) = machine.upgrade() else { return };
                    let machine = Machine { recorder: shared.recorder.clone(), shared };
                    connections.spawn(async move {
                        if let Err(why) = machine.relay_ssh(client).await {
                            machine.recorder.message(Level::Warning, format!("ssh: no connection: {why}"));
                        }
                    });
                }
                // Too many are open; some will end.
                Err(_) => sleep(Duration::from_millis(100)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// The sockets of a machine's device for `AF_VSOCK`: QEMU's end and the driver's.
pub(crate) fn vsock_sockets(directory: &Path, machine: &str) -> (PathBuf, PathBuf) {
    let socket = |end: &str| directory.join(format!("{machine}_{end}.socket"));
    (socket("guest"), socket("host"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_hold_up_in_a_shell() {
        let command = command(Path::new("/run/a b/it's 5%/web.ssh"), "web");
        let script = format!("ssh() {{ printf '%s\\n' \"$@\"; }}; {command}");
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let words: Vec<&str> = said.lines().collect();
        assert_eq!((words[1], *words.last().unwrap()), ("User=root", "web"));
        let proxy = words.iter().find_map(|word| word.strip_prefix("ProxyCommand=")).unwrap().replace("%%", "%");
        let (program, arguments) = proxy.split_once(' ').unwrap();
        let program = Path::new(program);
        assert!(["socat", "nc"].map(Path::new).contains(&Path::new(program.file_name().unwrap())), "{proxy}");
        assert!(program.is_absolute() || find("socat").or(find("nc")).is_none(), "{proxy}");
        let script = format!("connect() {{ echo \"${{2#UNIX-CLIENT:}}\"; }}; connect {arguments}");
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "/run/a b/it's 5%/web.ssh\n");
    }

    #[tokio::test]
    async fn devices_are_told_the_port() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("host");
        let listener = UnixListener::bind(&path).unwrap();
        let device = tokio::spawn(async move {
            for answer in ["OK 1073741824\nSSH-2.0", "NO\n"] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 11];
                stream.read_exact(&mut request).await.unwrap();
                assert_eq!(&request, b"CONNECT 22\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let mut said = [0; 7];
        vsock(&path).await.unwrap().read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"SSH-2.0");
        assert_eq!(vsock(&path).await.unwrap_err(), "connection refused");
        device.await.unwrap();
    }
}
