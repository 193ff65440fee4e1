//! The door: a process that stands in a container's namespaces and starts commands there.
//!
//! It is forked off just before systemd-nspawn is executed and is its child, so it ends with the container. It is not in the container's own
//! pid namespace: only its children are. So the container's root cannot see, stop or trace it; being a copy of the driver that has never
//! executed anything since, its memory belongs to the host's user namespace (ptrace(2), "Ptrace access mode checking").
//!
//! Nor is it in the container's cgroups, where its pid could not be told: its children are born into one there (`clone(2)`,
//! `CLONE_INTO_CGROUP`), so that the container's systemd may move them, as it does for logins.
//!
//! It speaks datagrams over a socket pair ([`Request`], [`Reply`]); the driver's end is [`crate::channel`].

use std::collections::HashMap;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::sched::{CloneFlags, setns};
use rustix::event::{PollFd, PollFlags};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::spawn::{self, Home, Stack};

/// Largest request in bytes; longer scripts travel by descriptor.
pub(crate) const REQUEST_MAX: usize = 160 * 1024;

/// Most descriptors that a request carries.
pub(crate) const FDS_MAX: usize = 4;

/// Which `/etc/profile` and `/etc/profile.d` an environment was read from: device and inode, and time of change in nanoseconds, of each.
pub(crate) type Profile = [u64; 4];

/// What the driver asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Enter the namespaces of this process (a pid as systemd-nspawn sees it). The cgroup for commands may come along as a descriptor.
    Join { leader: i32 },
    /// Start a program with these descriptors as 0, 1, 2, ... If `profile` is given and no longer the machine's, answer `Stale` instead.
    Run { id: u32, profile: Option<Profile>, argv: Vec<Vec<u8>>, env: Vec<Vec<u8>> },
    /// Send a signal to the process group of a command.
    Signal { id: u32, signal: i32 },
}

/// What the door answers. Numbers of errors are errno(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Joined; pidfds of the leader and of the door itself come along. Else why not.
    Joined { errno: i32 },
    /// A command was started.
    Started { id: u32 },
    /// A command could not be started.
    Failed { id: u32, errno: i32 },
    /// A command ended, its status as a shell would have it.
    Exited { id: u32, status: i32 },
    /// The profile changed; this is its identity now.
    Stale { id: u32, profile: Profile },
}

impl Request {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        match self {
            Self::Join { leader } => bytes.extend([1_u32, leader.cast_unsigned()].map(u32::to_ne_bytes).as_flattened()),
            Self::Signal { id, signal } => {
                bytes.extend([2, *id, signal.cast_unsigned()].map(u32::to_ne_bytes).as_flattened());
            }
            Self::Run { id, profile, argv, env } => {
                let count = u32::try_from(argv.len()).unwrap_or(u32::MAX);
                let head = [3, *id, u32::from(profile.is_some()), count];
                bytes.extend(head.map(u32::to_ne_bytes).as_flattened());
                bytes.extend(profile.unwrap_or_default().map(u64::to_ne_bytes).as_flattened());
                for text in argv.iter().chain(env) {
                    bytes.extend_from_slice(text);
                    bytes.push(0);
                }
            }
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (numbers, _) = bytes.as_chunks::<4>();
        let number = |index: usize| numbers.get(index).map(|bytes| u32::from_ne_bytes(*bytes));
        Some(match number(0)? {
            1 => Self::Join { leader: number(1)?.cast_signed() },
            2 => Self::Signal { id: number(1)?, signal: number(2)?.cast_signed() },
            3 => {
                let (profile, strings) = bytes.get(16..)?.split_at_checked(32)?;
                let mut identity = Profile::default();
                for (to, from) in identity.iter_mut().zip(profile.as_chunks::<8>().0) {
                    *to = u64::from_ne_bytes(*from);
                }
                let mut argv: Vec<Vec<u8>> = strings.split_inclusive(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
                let env = argv.split_off(usize::try_from(number(3)?).ok()?.min(argv.len()));
                Self::Run { id: number(1)?, profile: (number(2)? != 0).then_some(identity), argv, env }
            }
            _ => return None,
        })
    }
}

impl Reply {
    fn encode(self) -> [u8; 40] {
        let (kind, id, values) = match self {
            Self::Joined { errno } => (1, 0, [errno_value(errno), 0, 0, 0]),
            Self::Failed { id, errno } => (2, id, [errno_value(errno), 0, 0, 0]),
            Self::Exited { id, status } => (3, id, [errno_value(status), 0, 0, 0]),
            Self::Stale { id, profile } => (4, id, profile),
            Self::Started { id } => (5, id, Profile::default()),
        };
        let mut bytes = [0; 40];
        bytes[..4].copy_from_slice(&u32::to_ne_bytes(kind));
        bytes[4..8].copy_from_slice(&id.to_ne_bytes());
        bytes[8..].copy_from_slice(values.map(u64::to_ne_bytes).as_flattened());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; 40] = bytes.try_into().ok()?;
        let kind = u32::from_ne_bytes(bytes[..4].try_into().ok()?);
        let id = u32::from_ne_bytes(bytes[4..8].try_into().ok()?);
        let mut values = Profile::default();
        for (to, from) in values.iter_mut().zip(bytes[8..].as_chunks::<8>().0) {
            *to = u64::from_ne_bytes(*from);
        }
        let first = i32::try_from(values[0]).ok();
        Some(match kind {
            1 => Self::Joined { errno: first? },
            2 => Self::Failed { id, errno: first? },
            3 => Self::Exited { id, status: first? },
            4 => Self::Stale { id, profile: values },
            5 => Self::Started { id },
            _ => return None,
        })
    }
}

fn errno_value(number: i32) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// The door's whole life. Returns when the driver has closed its end.
pub(crate) fn stand(socket: &OwnedFd) -> io::Result<()> {
    // SAFETY: plain system calls. Not dumpable: nothing of this process may be read through /proc by others.
    let children = unsafe {
        libc::prctl(libc::PR_SET_NAME, c"tandem-door".as_ptr());
        libc::prctl(libc::PR_SET_DUMPABLE, 0);
        let mut mask: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut mask);
        libc::sigaddset(&raw mut mask, libc::SIGCHLD);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const mask, std::ptr::null_mut());
        match libc::signalfd(-1, &raw const mask, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
            -1 => return Err(io::Error::last_os_error()),
            fd => OwnedFd::from_raw_fd(fd),
        }
    };
    let mut door = Door { socket, running: HashMap::new(), home: None, stack: Stack::new() };
    let mut buffer = vec![0; REQUEST_MAX];
    loop {
        let mut poll = [PollFd::new(socket, PollFlags::IN), PollFd::new(&children, PollFlags::IN)];
        match rustix::event::poll(&mut poll, None) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other?,
        };
        let (request_due, child_due) = (!poll[0].revents().is_empty(), !poll[1].revents().is_empty());
        if child_due {
            let _ = rustix::io::read(&children, &mut [0; 1024]);
            door.reap()?;
        }
        if request_due {
            let (length, fds) = receive(socket.as_fd(), &mut buffer)?;
            if length == 0 {
                return Ok(());
            }
            if let Some(request) = Request::decode(&buffer[..length]) {
                door.answer(request, fds)?;
            }
        }
    }
}

struct Door<'a> {
    socket: &'a OwnedFd,
    /// Commands by pid.
    running: HashMap<i32, u32>,
    home: Option<Home>,
    stack: Stack,
}

impl Door<'_> {
    fn answer(&mut self, request: Request, mut fds: Vec<OwnedFd>) -> io::Result<()> {
        match request {
            Request::Join { leader } => match join(leader) {
                Ok([leader, door]) => {
                    let sent = self.reply(Reply::Joined { errno: 0 }, &[leader.as_fd(), door.as_fd()]);
                    self.home = Some(Home { leader, cgroup: fds.pop() });
                    sent
                }
                Err(errno) => self.reply(Reply::Joined { errno: errno as i32 }, &[]),
            },
            Request::Signal { id, signal } => {
                if let Some(pid) = self.running.iter().find_map(|(pid, of)| (*of == id).then_some(*pid)) {
                    // SAFETY: a plain system call; the process has not been reaped, so the group is still its own.
                    unsafe { libc::kill(-pid, signal) };
                }
                Ok(())
            }
            Request::Run { id, profile, argv, env } => {
                let now = profile.map(|_| identity());
                if let Some(now) = now.filter(|now| profile != Some(*now)) {
                    return self.reply(Reply::Stale { id, profile: now }, &[]);
                }
                match spawn::start(self.home.as_ref(), &mut self.stack, &argv, &env, &fds) {
                    Ok(pid) => {
                        self.running.insert(pid, id);
                        self.reply(Reply::Started { id }, &[])
                    }
                    Err(errno) => self.reply(Reply::Failed { id, errno: errno as i32 }, &[]),
                }
            }
        }
    }

    /// Collects ended commands and tells their statuses.
    fn reap(&mut self) -> io::Result<()> {
        while let Ok(Some((pid, status))) = rustix::process::wait(rustix::process::WaitOptions::NOHANG) {
            if let Some(home) = &self.home {
                // The container may be powering off: systemd-shutdown(8) waits ten seconds for the news of an end that only a parent gets.
                let _ = rustix::process::pidfd_send_signal(&home.leader, Signal::CHILD);
            }
            let status = status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal));
            if let Some(id) = self.running.remove(&pid.as_raw_nonzero().get()) {
                self.reply(Reply::Exited { id, status: status.unwrap_or(0) }, &[])?;
            }
        }
        Ok(())
    }

    fn reply(&self, reply: Reply, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        send(self.socket.as_fd(), &reply.encode(), fds)
    }
}

/// Enters the namespaces of `leader`: all but its user namespace, which is the door's own already, and its cgroup namespace, in which the
/// door's own cgroup is not.
fn join(leader: i32) -> nix::Result<[OwnedFd; 2]> {
    let open = |pid: Option<Pid>| {
        let pid = pid.ok_or(nix::errno::Errno::ESRCH)?;
        rustix::process::pidfd_open(pid, PidfdFlags::empty())
            .map_err(|errno| nix::errno::Errno::from_raw(errno.raw_os_error()))
    };
    let leader = open(Pid::from_raw(leader))?;
    let door = open(Some(rustix::process::getpid()))?;
    let namespaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWNET;
    setns(&leader, namespaces)?;
    Ok([leader, door])
}

/// Identity of the machine's profile; zeros where there is none.
fn identity() -> Profile {
    let mut identity = Profile::default();
    for (slot, path) in identity.as_chunks_mut::<2>().0.iter_mut().zip([c"/etc/profile", c"/etc/profile.d"]) {
        if let Ok(stat) = rustix::fs::stat(path) {
            let changed = stat.st_ctime.cast_unsigned().wrapping_mul(1_000_000_000).wrapping_add(stat.st_ctime_nsec);
            *slot = [stat.st_ino ^ stat.st_dev.rotate_left(32), changed];
        }
    }
    identity
}

/// Sends one datagram.
pub(crate) fn send(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::other("too many descriptors for one request"));
    }
    rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives one datagram and the descriptors with it; no bytes mean that the other end is closed.
pub(crate) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received =
        rustix::net::recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let mut fds = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    Ok((received.bytes, fds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(of: &[&str]) -> Vec<Vec<u8>> {
        of.iter().map(|text| text.as_bytes().to_vec()).collect()
    }

    #[test]
    fn requests_survive_the_wire() {
        for request in [Request::Join { leader: 7 }, Request::Signal { id: 3, signal: 15 }] {
            assert_eq!(Request::decode(&request.encode()), Some(request));
        }
        let run = Request::Run {
            id: 9,
            profile: Some([1, 2, 3, u64::MAX]),
            argv: texts(&["bash", "-c", ""]),
            env: texts(&["A=b"]),
        };
        let received = Request::Run {
            id: 9,
            profile: Some([1, 2, 3, u64::MAX]),
            argv: texts(&["bash\0", "-c\0", "\0"]),
            env: texts(&["A=b\0"]),
        };
        assert_eq!(Request::decode(&run.encode()), Some(received));
    }

    #[test]
    fn replies_survive_the_wire() {
        for reply in [
            Reply::Joined { errno: 3 },
            Reply::Started { id: 8 },
            Reply::Failed { id: 1, errno: 12 },
            Reply::Exited { id: 2, status: 137 },
            Reply::Stale { id: 4, profile: [9, 8, 7, 6] },
        ] {
            assert_eq!(Reply::decode(&reply.encode()), Some(reply));
        }
        assert_eq!(Reply::decode(&[0; 39]), None);
    }

    #[test]
    fn cut_requests_are_refused() {
        let bytes = Request::Run { id: 1, profile: None, argv: Vec::new(), env: Vec::new() }.encode();
        for length in 0..bytes.len() {
            assert_eq!(Request::decode(&bytes[..length]), None);
        }
    }
}
