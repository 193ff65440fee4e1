//! Who listens on a port of this host.

use std::path::Path;
use std::{fs, io};

/// The kernel's `TCP_LISTEN`, in hexadecimal.
const LISTEN: &str = "0A";

/// The process that listens on a TCP port here, by name and pid; none if it cannot be seen, for example because it is another user's.
pub(super) fn owner(port: u16) -> Option<String> {
    let sockets: Vec<String> = ["/proc/self/net/tcp", "/proc/self/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| inodes(&table, port).into_iter().map(|inode| format!("socket:[{inode}]")).collect::<Vec<_>>())
        .collect();
    let names = fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut pids = names.filter(|name| name.parse::<u32>().is_ok());
    let pid = pids.find(|pid| has_one_of(&Path::new("/proc").join(pid), &sockets).unwrap_or(false))?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(format!("`{}` (pid {pid})", name.trim_end()))
}

/// The inodes of the sockets that listen on a port, in a table like `/proc/net/tcp` (`proc_net(5)`).
fn inodes(table: &str, port: u16) -> Vec<&str> {
    let here = format!(":{port:04X}");
    let lines = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines
        .filter(|fields| fields.get(1).is_some_and(|local| local.ends_with(&here)) && fields.get(3) == Some(&LISTEN))
        .filter_map(|fields| fields.get(9).copied())
        .collect()
}

/// Whether a process has one of these sockets open.
fn has_one_of(process: &Path, sockets: &[String]) -> io::Result<bool> {
    let open = fs::read_dir(process.join("fd"))?.flatten();
    let mut targets = open.filter_map(|descriptor| fs::read_link(descriptor.path()).ok());
    Ok(targets.any(|target| sockets.iter().any(|socket| target.as_os_str() == socket.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_found_in_the_table() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0 100 0 0 10 0
   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 4243 1 0 20 4 30 10 -1
   2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4244 1 0 100 0 0 10 0
";
        assert_eq!(inodes(table, 8080), ["4242"]);
        assert_eq!(inodes(table, 22), ["4244"]);
        assert_eq!(inodes(table, 23), [""; 0]);
    }

    #[test]
    fn owners_are_named() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let owner = owner(port).unwrap();
        assert!(owner.ends_with(&format!("(pid {})", std::process::id())), "{owner}");
    }
}
