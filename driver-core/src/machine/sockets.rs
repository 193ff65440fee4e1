//! Waits for sockets.

use std::net::IpAddr;
use std::time::Duration;

use super::Machine;
use super::condition::{Condition, Cost};
use super::shell::quote;
use crate::error::Error;

/// How long one try to connect to another machine may take: long enough for three attempts of TCP itself.
const CONNECT: Duration = Duration::from_secs(5);

impl Machine {
    /// Waits until something accepts connections on a TCP port of `addr`, as the guest sees it. `localhost` is both loopback addresses.
    pub async fn wait_for_open_port(&self, port: u16, addr: &str, timeout: Duration) -> Result<(), Error> {
        let condition = Condition {
            what: format!("waiting for TCP port {port} on {addr}"),
            functions: format!("{}\nholds() {{ reachable; }}", reachable(port, addr)),
            otherwise: "nothing accepts connections there".into(),
            looks: cost(addr, false),
        };
        self.wait_for(&condition, timeout).await
    }

    /// Waits until nothing accepts connections on a TCP port of `addr`, as the guest sees it. `localhost` is both loopback addresses.
    pub async fn wait_for_closed_port(&self, port: u16, addr: &str, timeout: Duration) -> Result<(), Error> {
        let condition = Condition {
            what: format!("waiting for TCP port {port} on {addr} to be closed"),
            functions: format!("{}\nholds() {{ ! reachable; }}", reachable(port, addr)),
            otherwise: "something accepts connections there".into(),
            // A port that swallows whatever is sent to it is closed.
            looks: cost(addr, true),
        };
        self.wait_for(&condition, timeout).await
    }

    /// Waits until a stream socket listens, or a datagram socket is bound, at a path in the guest.
    pub async fn wait_for_open_unix_socket(
        &self,
        addr: &str,
        is_datagram: bool,
        timeout: Duration,
    ) -> Result<(), Error> {
        let kind = if is_datagram { "datagram" } else { "stream" };
        let condition = Condition {
            what: format!("waiting for UNIX-domain {kind} on '{addr}'"),
            functions: bound(addr, is_datagram),
            otherwise: "no such socket is open".into(),
            looks: Cost::Little,
        };
        self.wait_for(&condition, timeout).await
    }
}

/// Bash code for a function that connects as `nc -z` does.
fn reachable(port: u16, addr: &str) -> String {
    let addresses = match addr {
        "localhost" => vec!["127.0.0.1", "::1"],
        addr => vec![addr],
    };
    let tries: Vec<_> = addresses.into_iter().map(|addr| format!("connects {}", quote(addr))).collect();
    format!(
        "connects() {{ {{ : <>\"/dev/tcp/$1/{port}\"; }} 2>/dev/null; }}\nreachable() {{ {}; }}",
        tries.join(" || ")
    )
}

/// Connecting to the machine itself is answered at once; to any other it may block.
fn cost(addr: &str, holds_if_silent: bool) -> Cost {
    if addr == "localhost" || addr.parse().is_ok_and(|addr: IpAddr| addr.is_loopback()) {
        Cost::Little
    } else {
        Cost::Blocks { limit: CONNECT, holds: holds_if_silent }
    }
}

/// Bash code for a function that finds a socket in the kernel's list of them (`proc_net(5)`: type 0001 is stream, 0002 datagram; the flag
/// 00010000 is set on those that listen).
///
/// The list has the name by which a socket was bound, so the same file may be there under another name; and each network namespace has a
/// list of its own, which matters for a unit with `PrivateNetwork=`.
fn bound(addr: &str, is_datagram: bool) -> String {
    let wanted = if is_datagram { "* 0002" } else { "00010000 0001" };
    let addr = quote(addr);
    format!(
        r#"path={addr}
listed() {{
  local flags type name
  while read -r _ _ _ flags type _ _ name; do
    [[ "$flags $type" == {wanted} && -n "$name" ]] || continue
    [[ "$name" == "$path" || "$name" -ef "$path" ]] && return 0
    # A name that says nothing here, since it is relative or of another root directory.
    [[ "${{name##*/}}" == "${{path##*/}}" && ! -e "$name" ]] && return 0
  done <"$1"
  return 1
}} 2>/dev/null
holds() {{
  local process
  [[ -S "$path" ]] || return 1
  listed /proc/self/net/unix && return 0
  for process in /proc/[0-9]*; do
    [[ "$process/ns/net" -ef /proc/self/ns/net ]] && continue
    listed "$process/net/unix" && return 0
  done
  return 1
}}"#,
        wanted = wanted.replace(' ', "\\ "),
    )
}
