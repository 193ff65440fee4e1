//! Names and addresses of network interfaces, so that a guest needs no program and no configuration for them (netdevice(7)).

use std::ffi::{c_int, c_short, c_ulong, c_void};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::Path;

const SIOCGIFINDEX: c_ulong = 0x8933;
const SIOCSIFFLAGS: c_ulong = 0x8914;
const SIOCSIFADDR: c_ulong = 0x8916;
const SIOCSIFNETMASK: c_ulong = 0x891c;
const SIOCSIFNAME: c_ulong = 0x8923;
const IFF_UP: c_short = 1;
const AF_INET: u16 = 2;

unsafe extern "C" {
    fn ioctl(descriptor: c_int, request: c_ulong, argument: *mut c_void) -> c_int;
}

/// `struct ifreq`: a name and 24 bytes whose meaning depends on the request.
#[repr(C)]
struct Request {
    name: [u8; 16],
    value: [u8; 24],
}

/// `struct in6_ifreq`.
#[repr(C)]
struct Request6 {
    address: [u8; 16],
    prefix: u32,
    index: c_int,
}

/// Gives the interface with this MAC address a name and addresses such as `192.168.1.1/24`, and sets it up.
pub(crate) fn configure(mac: &str, name: &str, addresses: &[&str]) -> io::Result<()> {
    let current = find(mac)?.ok_or_else(|| invalid(format!("no interface has the MAC address {mac}")))?;
    // Any socket will do to reach interfaces by; this one needs no address.
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    if current != name {
        if Path::new("/sys/class/net").join(name).exists() {
            // Another card came up under this name; its own turn follows.
            rename(&socket, name, &format!("{name}-"))?;
        }
        rename(&socket, &current, name)?;
    }
    // Addresses are there at once: nobody else on this network can have them.
    let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{name}/accept_dad"), "0");
    for address in addresses {
        let wrong = || invalid(format!("{address} is no address with a prefix"));
        let (ip, prefix) = address.split_once('/').ok_or_else(wrong)?;
        let prefix = prefix.parse().ok().filter(|prefix| *prefix <= 128).ok_or_else(wrong)?;
        match ip.parse().map_err(|_| wrong())? {
            IpAddr::V4(ip) => add4(&socket, name, ip, prefix)?,
            IpAddr::V6(ip) => add6(&socket, name, ip, prefix)?,
        }
    }
    up(&socket, name)
}

/// The name of the interface with a MAC address.
fn find(mac: &str) -> io::Result<Option<String>> {
    for entry in fs::read_dir("/sys/class/net")? {
        let entry = entry?;
        if fs::read_to_string(entry.path().join("address")).is_ok_and(|address| address.trim() == mac) {
            return Ok(entry.file_name().to_str().map(str::to_owned));
        }
    }
    Ok(None)
}

fn rename(socket: &UdpSocket, from: &str, to: &str) -> io::Result<()> {
    let mut value = [0; 24];
    value[..16].copy_from_slice(&padded(to)?);
    call(socket, SIOCSIFNAME, &mut Request { name: padded(from)?, value })
}

fn add4(socket: &UdpSocket, name: &str, address: Ipv4Addr, prefix: u32) -> io::Result<()> {
    let mask = Ipv4Addr::from_bits(u32::MAX.checked_shl(32 - prefix.min(32)).unwrap_or(0));
    for (request, address) in [(SIOCSIFADDR, address), (SIOCSIFNETMASK, mask)] {
        // struct sockaddr_in: family, port, address.
        let mut value = [0; 24];
        value[..2].copy_from_slice(&AF_INET.to_ne_bytes());
        value[4..8].copy_from_slice(&address.octets());
        call(socket, request, &mut Request { name: padded(name)?, value })?;
    }
    Ok(())
}

fn add6(socket: &UdpSocket, name: &str, address: Ipv6Addr, prefix: u32) -> io::Result<()> {
    let mut index = Request { name: padded(name)?, value: [0; 24] };
    call(socket, SIOCGIFINDEX, &mut index)?;
    let [a, b, c, d, ..] = index.value;
    let mut request = Request6 { address: address.octets(), prefix, index: c_int::from_ne_bytes([a, b, c, d]) };
    // Which family a request is for, the kernel takes from the socket.
    call(&UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?, SIOCSIFADDR, &mut request)
}

fn up(socket: &UdpSocket, name: &str) -> io::Result<()> {
    let mut value = [0; 24];
    value[..2].copy_from_slice(&IFF_UP.to_ne_bytes());
    call(socket, SIOCSIFFLAGS, &mut Request { name: padded(name)?, value })
}

fn call<T>(socket: &UdpSocket, request: c_ulong, argument: &mut T) -> io::Result<()> {
    // SAFETY: every caller passes the structure that its request reads or writes, as large as the kernel's own.
    let result = unsafe { ioctl(socket.as_raw_fd(), request, (&raw mut *argument).cast()) };
    if result >= 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A name as the kernel keeps it, with at least one NUL after it.
fn padded(name: &str) -> io::Result<[u8; 16]> {
    let mut padded = [0; 16];
    if name.len() >= padded.len() {
        return Err(invalid(format!("the name {name} is too long")));
    }
    padded[..name.len()].copy_from_slice(name.as_bytes());
    Ok(padded)
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}
