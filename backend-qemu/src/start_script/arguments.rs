//! What a start script is told: upstream's arguments, in upstream's order, and its environment.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use driver_core::backend::StartRequest;
use driver_core::spec::VlanId;

/// Longest path of a unix socket in bytes (unix(7)): its last byte is a NUL.
const SOCKET_PATH_MAX: usize = 107;

/// Where things are that script and driver share.
#[derive(Debug)]
pub(super) struct Places {
    /// The machine's own directory, and the script's working directory.
    pub(super) state: PathBuf,
    /// A directory for all such machines of the run.
    pub(super) shared: PathBuf,
    /// Locked while processes of the machine are there.
    pub(super) lock: PathBuf,
    /// Where the driver listens and QEMU connects its monitor.
    pub(super) monitor: PathBuf,
    /// Where the driver listens and QEMU connects the guest's hvc0.
    pub(super) shell: PathBuf,
    /// Where QEMU listens.
    pub(super) qmp: PathBuf,
    /// Where the script keeps the firmware's variables.
    efi_vars: PathBuf,
}

impl Places {
    pub(super) fn of(request: &StartRequest) -> Self {
        let (state, name) = (request.state.clone(), &request.machine.name);
        // As upstream, unless no socket can have such a path.
        let socket = |kind: &str| match state.join(kind) {
            path if path.as_os_str().len() <= SOCKET_PATH_MAX => path,
            _ => request.sockets.join(format!("{name}_{kind}")),
        };
        Self {
            shared: request.shared.clone(),
            // Not among the script's own files, nor with those that outlive the run.
            lock: request.sockets.join(format!("{name}_lock")),
            monitor: socket("monitor"),
            shell: socket("shell"),
            qmp: socket("qmp"),
            efi_vars: state.join(format!("{}-efi-vars.fd", request.machine.name)),
            state,
        }
    }

    /// Fails if a socket cannot have such a path.
    pub(super) fn check(&self) -> io::Result<()> {
        let all = [&self.monitor, &self.shell, &self.qmp];
        let Some(path) = all.into_iter().find(|path| path.as_os_str().len() > SOCKET_PATH_MAX) else { return Ok(()) };
        Err(io::Error::other(format!(
            "the path of its socket {} has {} bytes, and no socket can have more than {SOCKET_PATH_MAX}; give the \
             machine a shorter name, or set XDG_RUNTIME_DIR (TMPDIR, if that is not set) to a shorter directory",
            path.display(),
            path.as_os_str().len()
        )))
    }
}

/// Whether QEMU can open a window: whoever runs the test has a display.
pub(super) fn has_display() -> bool {
    ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// The script's arguments. With a `display` the machine has a window.
pub(super) fn arguments(request: &StartRequest, places: &Places, display: bool) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = Vec::new();
    let mut add = |words: &[&str]| arguments.extend(words.iter().map(OsString::from));
    add(&["-qmp"]);
    add(&[&format!("unix:{},server=on,wait=off", option(&places.qmp))]);
    add(&["-monitor", &format!("unix:{}", option(&places.monitor))]);
    add(&["-chardev", &format!("socket,id=shell,path={}", option(&places.shell))]);
    add(&["-device", "virtio-serial"]);
    add(&["-device", "virtconsole,chardev=shell"]);
    add(&["-device", "virtio-rng-pci"]);
    add(&["-serial", "stdio"]);
    if !request.allow_reboot {
        add(&["-no-reboot"]);
    }
    if let Some(socket) = &request.vsock {
        add(&["-chardev", &format!("socket,id=vsock_ssh,path={}", option(socket))]);
        add(&["-device", "vhost-user-vsock-pci,chardev=vsock_ssh"]);
    }
    if !display {
        add(&["-nographic"]);
    }
    arguments.extend(request.machine.qemu_args.iter().map(OsString::from));
    arguments
}

/// What is added to the driver's own environment, which the script inherits. Each VLAN of the machine is a directory for VDE.
pub(super) fn environment(places: &Places, vlans: &[(VlanId, PathBuf)]) -> Vec<(String, OsString)> {
    let own = [
        ("TMPDIR", places.state.clone().into()),
        ("SHARED_DIR", places.shared.clone().into()),
        ("USE_TMPDIR", "1".into()),
        ("NIX_EFI_VARS", places.efi_vars.clone().into()),
    ];
    let own = own.map(|(name, value)| (name.to_owned(), value));
    let vlan = |(vlan, directory): &(VlanId, PathBuf)| (format!("QEMU_VDE_SOCKET_{vlan}"), directory.clone().into());
    own.into_iter().chain(vlans.iter().map(vlan)).collect()
}

/// What upstream's start scripts call what the interface with this index is plugged into.
pub(super) fn netdev(index: usize) -> String {
    format!("vlan{}", index + 1)
}

/// A path inside one of QEMU's options, where a doubled comma is read as one (qemu(1), "Standard options").
fn option(path: &Path) -> String {
    String::from_utf8_lossy(path.as_os_str().as_bytes()).replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;
    use driver_core::spec::{MachineSpec, Machined};
    use std::time::Duration;

    fn request(state: &str) -> StartRequest {
        StartRequest {
            run: "r".into(),
            machine: MachineSpec::new("web", "vm"),
            hosts: Vec::new(),
            attachments: Vec::new(),
            state: state.into(),
            shared: "/s/shared_xchg".into(),
            sockets: "/sockets".into(),
            cgroups: Vec::new(),
            first_id: None,
            allow_reboot: false,
            boot_timeout: Duration::from_secs(1),
            vsock: None,
            machined: Machined::Never,
        }
    }

    fn line(request: &StartRequest) -> String {
        shown(request, false)
    }

    fn shown(request: &StartRequest, display: bool) -> String {
        let words = arguments(request, &Places::of(request), display);
        words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn arguments_are_upstreams_in_upstreams_order() {
        let mut request = request("/s/web");
        let expected = "-qmp unix:/s/web/qmp,server=on,wait=off -monitor unix:/s/web/monitor \
                        -chardev socket,id=shell,path=/s/web/shell \
                        -device virtio-serial -device virtconsole,chardev=shell -device virtio-rng-pci -serial stdio";
        assert_eq!(line(&request), format!("{expected} -no-reboot -nographic"));
        request.allow_reboot = true;
        request.machine.qemu_args = vec!["-m".into(), "2048".into()];
        assert_eq!(line(&request), format!("{expected} -nographic -m 2048"));
        assert_eq!(shown(&request, true), format!("{expected} -m 2048"));
        request.vsock = Some("/s/web_guest.socket".into());
        let vsock =
            "-chardev socket,id=vsock_ssh,path=/s/web_guest.socket -device vhost-user-vsock-pci,chardev=vsock_ssh";
        assert_eq!(line(&request), format!("{expected} {vsock} -nographic -m 2048"));
    }

    #[test]
    fn commas_in_paths_do_not_end_an_option() {
        assert!(line(&request("/a,b/web")).contains("path=/a,,b/web/shell "));
    }

    #[test]
    fn environment_is_upstreams() {
        let vlans = [(VlanId::new(2).unwrap(), "/s/vde2".into()), (VlanId::new(11).unwrap(), "/s/vde11".into())];
        let environment = environment(&Places::of(&request("/s/web")), &vlans);
        let expected = [
            ("TMPDIR", "/s/web"),
            ("SHARED_DIR", "/s/shared_xchg"),
            ("USE_TMPDIR", "1"),
            ("NIX_EFI_VARS", "/s/web/web-efi-vars.fd"),
            ("QEMU_VDE_SOCKET_2", "/s/vde2"),
            ("QEMU_VDE_SOCKET_11", "/s/vde11"),
        ];
        assert_eq!(environment, expected.map(|(name, value)| (name.to_owned(), value.into())));
    }

    #[test]
    fn paths_that_no_socket_can_have_are_told_with_a_cure() {
        let path = |length: usize| format!("/{}", "x".repeat(length - 1));
        // "/monitor" is the longest that follows.
        let mut request = request(&path(99));
        request.sockets = path(95).into();
        assert_eq!(Places::of(&request).monitor, PathBuf::from(path(99)).join("monitor"));
        // Sockets go elsewhere where they can.
        request.state = path(100).into();
        assert_eq!(Places::of(&request).monitor, PathBuf::from(path(95)).join("web_monitor"));
        assert!(Places::of(&request).check().is_ok());
        request.sockets = path(96).into();
        let error = Places::of(&request).check().unwrap_err().to_string();
        assert!(error.contains("has 108 bytes") && error.contains("shorter name"), "{error}");
    }
}
