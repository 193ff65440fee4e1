//! Network namespaces, held by descriptor.
//!
//! A thread that changes its network namespace must never be one that other work runs on, such as a worker of an async runtime. Here each
//! change happens on a thread that exists only for it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use nix::sched::{CloneFlags, setns, unshare};
use rtnetlink::LinkUnspec;
use tokio::runtime;
use tokio::sync::oneshot;

use crate::Error;
use crate::error::Operation;
use crate::kernel::netlink;

/// The kernel's `LOOPBACK_IFINDEX`: the index of `lo` in every network namespace.
const LOOPBACK: u32 = 1;

/// A network namespace and a netlink socket in it.
///
/// It has no name in the file system. It lives as long as this value, the segments and ports in it, or a process or another descriptor
/// in it; then the kernel removes it with all interfaces in it.
#[derive(Debug)]
pub struct Namespace {
    descriptor: OwnedFd,
    netlink: rtnetlink::Handle,
    runtime: runtime::Handle,
}

impl Namespace {
    /// Makes a network namespace in which only the loopback interface exists, and is up.
    ///
    /// It is owned by the caller's user namespace. Like [`from_fd`](Self::from_fd) it must be called within a tokio runtime, which from
    /// then on drives the netlink socket.
    pub async fn new() -> Result<Self, Error> {
        let namespace = Self::open(Operation::MakeNamespace, || {
            unshare(CloneFlags::CLONE_NEWNET)?;
            Ok(File::open("/proc/thread-self/ns/net")?.into())
        });
        let namespace = namespace.await?;
        namespace.loopback_up().await?;
        Ok(namespace)
    }

    /// Takes a network namespace that exists already, such as the opened `/proc/PID/ns/net` of a process in it. Changes nothing in it.
    ///
    /// The caller must be privileged in its own user namespace and in the one that owns the network namespace.
    pub async fn from_fd(descriptor: OwnedFd) -> Result<Self, Error> {
        let namespace = Self::open(Operation::EnterNamespace, move || {
            setns(&descriptor, CloneFlags::CLONE_NEWNET)?;
            Ok(descriptor)
        });
        namespace.await
    }

    /// Runs `work` on a thread of its own inside the namespace and waits for its result.
    ///
    /// Sockets that `work` opens stay in the namespace when they are used elsewhere, and `/proc/sys/net` shows it the namespace's own
    /// values. A panic of `work` goes on in the caller. If the caller gives up waiting, `work` runs to its end all the same.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        let failed = |errno: io::Error| Operation::EnterNamespace.failed(errno);
        let descriptor = self.descriptor.try_clone().map_err(failed)?;
        let result = on_thread(move || {
            setns(&descriptor, CloneFlags::CLONE_NEWNET)?;
            drop(descriptor);
            Ok(work())
        });
        result.await.flatten().map_err(failed)
    }

    pub(crate) fn netlink(&self) -> &rtnetlink::Handle {
        &self.netlink
    }

    /// The runtime that drives the netlink socket.
    pub(crate) fn runtime(&self) -> &runtime::Handle {
        &self.runtime
    }

    /// Sets the loopback interface up. The request is queued at the call.
    pub(crate) fn loopback_up(&self) -> impl Future<Output = Result<(), Error>> + use<> {
        let changed = netlink::change_link(&self.netlink, LinkUnspec::new_with_index(LOOPBACK).up().build());
        async { changed.await.map_err(|refusal| Operation::SetLoopback.failed(refusal)) }
    }

    /// Enters a namespace on a thread of its own and opens the netlink socket there. `operation` is what `enter` does.
    async fn open(
        operation: Operation,
        enter: impl FnOnce() -> io::Result<OwnedFd> + Send + 'static,
    ) -> Result<Self, Error> {
        let runtime = runtime::Handle::current();
        let context = runtime.clone();
        let opened = on_thread(move || {
            let descriptor = enter().map_err(|errno| operation.failed(errno))?;
            let _context = context.enter();
            let (connection, netlink) = netlink::connect().map_err(|errno| Operation::OpenNetlink.failed(errno))?;
            Ok((descriptor, connection, netlink))
        });
        let (descriptor, connection, netlink) = opened.await.map_err(|errno| operation.failed(errno))??;
        // It ends by itself, once nobody has the handle any more.
        runtime.spawn(connection);
        Ok(Self { descriptor, netlink, runtime })
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Runs `work` on a new thread that ends with it.
async fn on_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (sender, receiver) = oneshot::channel();
    std::thread::Builder::new().name("netns".to_owned()).spawn(move || {
        // Nobody listens if the caller gave up.
        let _ = sender.send(catch_unwind(AssertUnwindSafe(work)));
    })?;
    receiver.await.expect("the thread sends before it ends, panic or not").map_or_else(|panic| resume_unwind(panic), Ok)
}
