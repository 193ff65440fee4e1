//! What can go wrong, with the likely cause and the cure.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use nix::errno::Errno;

use crate::InterfaceName;
use crate::kernel::netlink::Refusal;

/// Why a network could not be made, changed or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// This cannot be the name of an interface.
    #[error(
        "interface name {name:?} {fault}; use 1 to 15 printable ASCII characters without `/`, `:` and `%`, such as `eth1`"
    )]
    Name {
        /// The name as given.
        name: String,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// No kernel would take this description of an interface. Nothing was tried.
    #[error("interface {interface}: {fault}")]
    Interface {
        /// The interface's name.
        interface: InterfaceName,
        /// What is wrong and what to write instead.
        fault: String,
    },
    /// The kernel refused an operation.
    #[error("{operation}{}: {errno}{}{}", on(.interface.as_ref()), fragment(": ", .cause), fragment("; ", .cure))]
    Kernel {
        /// What was tried, such as `create bridge`.
        operation: &'static str,
        /// The interface it was tried on; none where the operation is about a namespace.
        interface: Option<InterfaceName>,
        /// What the kernel answered. It is part of the message.
        errno: io::Error,
        /// The likely cause, or else the kernel's own words; may be empty.
        cause: String,
        /// What to do; may be empty.
        cure: &'static str,
    },
    /// No link can be impaired like this. Nothing was changed.
    #[error("impairment: {fault}")]
    Impairment {
        /// What is wrong and what to write instead.
        fault: String,
    },
    /// A capture could not be begun or written.
    #[error("capture {}: {operation}: {errno}", .path.display())]
    Capture {
        /// The capture's file.
        path: PathBuf,
        /// What was tried.
        operation: &'static str,
        /// What the system answered. It is part of the message.
        errno: io::Error,
    },
    /// This kind of segment cannot do this.
    #[error("segment {segment}: {operation}: {why}")]
    Unsupported {
        /// The segment's name.
        segment: InterfaceName,
        /// What was asked for.
        operation: &'static str,
        /// Why it cannot, and what to do.
        why: &'static str,
    },
    /// A port of a segment in user space, or what joins it to one, could not be made.
    #[error("port {port}: {operation}: {errno}{}", fragment("; ", .cure))]
    Port {
        /// The port's name.
        port: String,
        /// What was tried.
        operation: &'static str,
        /// What the system answered. It is part of the message.
        errno: io::Error,
        /// What to do; may be empty.
        cure: &'static str,
    },
    /// An interface was made and configured but does not carry frames.
    #[error("interface {interface} has no carrier {} s after it was set up; was it, or its other end, taken down?", .waited.as_secs())]
    NotReady {
        /// The interface's name.
        interface: InterfaceName,
        /// How long it was waited for.
        waited: Duration,
    },
}

/// What is asked of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    MakeNamespace,
    EnterNamespace,
    OpenNetlink,
    SetLoopback,
    CreateBridge,
    CreateVeth,
    CreateTap,
    SetLink,
    QueryLink,
    AddAddress,
    RemoveLink,
    ForbidForwarding,
    OpenSocket,
    Connect,
    CreateIfb,
    PutNetem,
    PutIngress,
    Redirect,
    QueryQdisc,
    RemoveQdisc,
}

impl Operation {
    /// The error of this operation on a namespace.
    pub(crate) fn failed(self, refusal: impl Into<Refusal>) -> Error {
        self.error(None, refusal.into())
    }

    /// The error of this operation on `interface`.
    pub(crate) fn failed_on(self, interface: &InterfaceName, refusal: impl Into<Refusal>) -> Error {
        self.error(Some(interface.clone()), refusal.into())
    }

    fn error(self, interface: Option<InterfaceName>, Refusal { errno, words }: Refusal) -> Error {
        let known = errno.raw_os_error().and_then(|code| hint(self, Errno::from_raw(code)));
        let (cause, cure) = known.map_or((words, ""), |(cause, cure)| (cause.to_owned(), cure));
        Error::Kernel { operation: self.text(), interface, errno, cause, cure }
    }

    fn text(self) -> &'static str {
        match self {
            Self::MakeNamespace => "make a network namespace",
            Self::EnterNamespace => "enter a network namespace",
            Self::OpenNetlink => "open a netlink socket",
            Self::SetLoopback => "set up the loopback interface",
            Self::CreateBridge => "create bridge",
            Self::CreateVeth => "create veth",
            Self::CreateTap => "create tap",
            Self::SetLink => "configure interface",
            Self::QueryLink => "query interface",
            Self::AddAddress => "add an address to interface",
            Self::RemoveLink => "remove interface",
            Self::ForbidForwarding => "forbid forwarding between the segments of a namespace",
            Self::OpenSocket => "open a socket",
            Self::Connect => "connect over bridge",
            Self::CreateIfb => "create ifb",
            Self::PutNetem => "have netem impair interface",
            Self::PutIngress => "have filters on interface",
            Self::Redirect => "redirect frames that come in at interface",
            Self::QueryQdisc => "query the queue of interface",
            Self::RemoveQdisc => "restore the queue of interface",
        }
    }
}

/// The likely cause of an error code and its cure.
fn hint(operation: Operation, code: Errno) -> Option<(&'static str, &'static str)> {
    use Operation::{
        AddAddress, Connect, CreateBridge, CreateIfb, CreateTap, CreateVeth, EnterNamespace, ForbidForwarding,
        MakeNamespace, PutIngress, PutNetem, Redirect,
    };

    Some(match (operation, code) {
        (MakeNamespace | EnterNamespace, Errno::EPERM) => (
            "CAP_SYS_ADMIN is missing",
            "run as root, or in a user namespace of your own (`unshare --user --map-root-user`)",
        ),
        (_, Errno::EPERM) => (
            "CAP_NET_ADMIN is missing in the user namespace that owns the network namespace",
            "run as root, or in a user namespace of your own (`unshare --user --map-root-user`)",
        ),
        (MakeNamespace, Errno::EINVAL) => {
            ("the kernel was built without CONFIG_NET_NS", "use a kernel with network namespaces")
        }
        (EnterNamespace, Errno::EINVAL) => {
            ("the descriptor is no network namespace", "open /proc/PID/ns/net of a process that lives in it")
        }
        (MakeNamespace, Errno::ENOSPC) => {
            ("there are too many network namespaces", "raise the sysctl user.max_net_namespaces")
        }
        (MakeNamespace | EnterNamespace, Errno::ENOENT) => ("/proc is not mounted", "mount a procfs on /proc"),
        (_, Errno::EMFILE | Errno::ENFILE) => {
            ("too many descriptors are open", "raise the limit (`ulimit -n`, sysctl fs.file-max)")
        }
        (CreateBridge, Errno::EOPNOTSUPP) => (
            "the kernel lacks bridges (CONFIG_BRIDGE)",
            "load the module with `modprobe bridge`, or use a kernel that has it",
        ),
        (CreateVeth, Errno::EOPNOTSUPP) => (
            "the kernel lacks veth pairs (CONFIG_VETH)",
            "load the module with `modprobe veth`, or use a kernel that has it",
        ),
        (CreateTap, Errno::ENOENT | Errno::ENODEV | Errno::ENXIO) => (
            "there is no /dev/net/tun, or the kernel lacks taps (CONFIG_TUN)",
            "load the module with `modprobe tun`; in a Nix sandbox, set `extra-sandbox-paths = /dev/net`",
        ),
        (CreateTap, Errno::EACCES) => (
            "this user may not open /dev/net/tun",
            "run as root, or have the node's mode set to 0666 as most distributions do",
        ),
        // The latter is for interfaces that are no taps.
        (CreateTap, Errno::EBUSY | Errno::EINVAL) => {
            ("the name is already in use in its namespace", "choose another name")
        }
        (CreateIfb, Errno::EOPNOTSUPP) => (
            "the kernel lacks intermediate devices (CONFIG_IFB)",
            "load the module with `modprobe ifb numifbs=0`, or use a kernel that has it",
        ),
        (PutNetem, Errno::ENOENT | Errno::EOPNOTSUPP) => (
            "the kernel lacks netem (CONFIG_NET_SCH_NETEM)",
            "load the module with `modprobe sch_netem`, or use a kernel that has it",
        ),
        (PutIngress, Errno::ENOENT | Errno::EOPNOTSUPP) => (
            "the kernel lacks filters of what comes in (CONFIG_NET_SCH_INGRESS)",
            "load the module with `modprobe sch_ingress`, or use a kernel that has it",
        ),
        (Redirect, Errno::ENOENT | Errno::EOPNOTSUPP) => (
            "the kernel lacks the filter or its action (CONFIG_NET_CLS_MATCHALL, CONFIG_NET_ACT_MIRRED)",
            "load the modules with `modprobe -a cls_matchall act_mirred`, or use a kernel that has them",
        ),
        (CreateBridge | CreateIfb | CreateVeth, Errno::EEXIST) => {
            ("the name is already in use in its namespace", "choose another name, or remove the interface that has it")
        }
        (AddAddress, Errno::EEXIST) => ("the interface has the address already", "list each address once"),
        (AddAddress, Errno::EACCES) => (
            "IPv6 is disabled in the namespace",
            "set the sysctls net.ipv6.conf.{all,default}.disable_ipv6 to 0 in it, or list no IPv6 address",
        ),
        (AddAddress, Errno::EOPNOTSUPP | Errno::EAFNOSUPPORT) => {
            ("the kernel lacks IPv6 (CONFIG_IPV6, or booted with ipv6.disable=1)", "list no IPv6 address")
        }
        (ForbidForwarding, Errno::EROFS | Errno::EACCES) => (
            "/proc/sys/net cannot be written, and the sysctls that let packets pass from segment to segment are on",
            "set net.ipv4.ip_forward and net.ipv6.conf.all.forwarding to 0 before the namespace is made",
        ),
        (Connect, Errno::ECONNREFUSED) => ("nothing listens there", ""),
        (Connect, Errno::EHOSTUNREACH) => ("nobody has the address", ""),
        (_, Errno::ENODEV) => {
            ("the interface is gone", "keep both namespaces alive, and the segment for as long as its ports")
        }
        _ => return None,
    })
}

fn on(interface: Option<&InterfaceName>) -> String {
    interface.map(|name| format!(" {name}")).unwrap_or_default()
}

fn fragment(before: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{before}{text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(code: Errno, words: &str) -> Refusal {
        Refusal { errno: code.into(), words: words.to_owned() }
    }

    #[test]
    fn messages_name_operation_interface_errno_cause_and_cure() {
        let lan = InterfaceName::new("lan").unwrap();
        let error = Operation::CreateBridge.failed_on(&lan, refusal(Errno::EOPNOTSUPP, "Unknown device type"));
        assert_eq!(
            error.to_string(),
            "create bridge lan: Operation not supported (os error 95): the kernel lacks bridges (CONFIG_BRIDGE); \
             load the module with `modprobe bridge`, or use a kernel that has it"
        );
    }

    #[test]
    fn what_the_kernel_lacks_is_named() {
        let eth1 = InterfaceName::new("eth1").unwrap();
        for (operation, code, option, module) in [
            (Operation::CreateIfb, Errno::EOPNOTSUPP, "CONFIG_IFB", "modprobe ifb"),
            (Operation::PutNetem, Errno::ENOENT, "CONFIG_NET_SCH_NETEM", "modprobe sch_netem"),
            (Operation::PutIngress, Errno::ENOENT, "CONFIG_NET_SCH_INGRESS", "modprobe sch_ingress"),
            (Operation::Redirect, Errno::ENOENT, "CONFIG_NET_CLS_MATCHALL", "act_mirred"),
            (Operation::Redirect, Errno::ENOENT, "CONFIG_NET_ACT_MIRRED", "cls_matchall"),
        ] {
            let error = operation.failed_on(&eth1, refusal(code, "")).to_string();
            assert!(error.contains(option) && error.contains(module), "{error}");
        }
    }

    #[test]
    fn an_unforeseen_error_keeps_the_kernels_words() {
        let lan = InterfaceName::new("lan").unwrap();
        let error = Operation::SetLink.failed_on(&lan, refusal(Errno::ERANGE, "mtu greater than device maximum"));
        assert!(error.to_string().ends_with("(os error 34): mtu greater than device maximum"), "{error}");
    }

    #[test]
    fn a_namespace_has_no_interface_name() {
        let error = Operation::MakeNamespace.failed(io::Error::from(Errno::EPERM));
        assert!(error.to_string().starts_with("make a network namespace: Operation not permitted"), "{error}");
    }
}
