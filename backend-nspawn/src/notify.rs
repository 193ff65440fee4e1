//! The notify socket of a container (`sd_notify(3)`): what systemd-nspawn and the container's systemd say of themselves.

use std::io;
use std::os::unix::net::UnixDatagram as StdDatagram;
use std::path::Path;

use tokio::net::UnixDatagram;

/// One thing that was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// The container's pid 1 runs; its pid as systemd-nspawn sees it.
    Leader(i32),
    /// The container's systemd has started everything (`READY=1`).
    Ready,
}

/// Binds the socket. To be called inside the run's namespaces; `owner` is the host id that systemd-nspawn runs as.
pub(crate) fn bind(path: &Path, owner: Option<u32>) -> io::Result<StdDatagram> {
    let _ = std::fs::remove_file(path);
    let socket = StdDatagram::bind(path)?;
    std::os::unix::fs::chown(path, owner, owner)?;
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Receives the next datagram that says something of interest. Must be called for as long as the container lives: systemd says `READY=1`
/// again after a re-execution and would block on a full socket.
pub(crate) async fn next(socket: &UnixDatagram) -> io::Result<Vec<Said>> {
    let mut buffer = [0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let said = parse(&buffer[..length]);
        if !said.is_empty() {
            return Ok(said);
        }
    }
}

fn parse(datagram: &[u8]) -> Vec<Said> {
    String::from_utf8_lossy(datagram)
        .lines()
        .filter_map(|line| match line.split_once('=')? {
            ("READY", "1") => Some(Said::Ready),
            ("X_NSPAWN_LEADER_PID", pid) => pid.parse().ok().map(Said::Leader),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_matters_is_heard() {
        for (datagram, expected) in [
            ("STATUS=Container running.\nX_NSPAWN_LEADER_PID=3", vec![Said::Leader(3)]),
            ("READY=1\n", vec![Said::Ready]),
            ("READY=0\nX_NSPAWN_LEADER_PID=x\n=\nREADY", vec![]),
            ("X_NSPAWN_LEADER_PID=9\nREADY=1", vec![Said::Leader(9), Said::Ready]),
        ] {
            assert_eq!(parse(datagram.as_bytes()), expected, "{datagram}");
        }
        assert_eq!(parse(b"\xff\xfe=1"), []);
    }
}
