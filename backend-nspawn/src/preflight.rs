//! What keeps a machine from being a container, asked before anything starts.

use std::fs;
use std::path::Path;

use driver_core::need::{Place, find};
use driver_core::spec::{MachineSpec, Problem, Root};

use crate::start_script;

/// Where unit files of a host root are looked for (systemd.unit(5), "Unit File Load Path").
const UNIT_PATH: [&str; 4] =
    ["/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];

/// What keeps this machine from being a container here.
pub(crate) fn machine(machine: &MachineSpec) -> Vec<Problem> {
    if let Some(script) = &machine.start_script {
        return start_script::check(machine, script);
    }
    let subject = |key: &str| format!("machine `{}`: key `{key}`", machine.name);
    let mut problems =
        machine.refuse_all_but(&["devices", "binds"], "use a VM for it (`backend = \"vm\"`), or take the key out");
    match &machine.root {
        Root::Image(_) => problems.push(Problem::user(
            subject("root"),
            "a container has no disk, and so its root cannot be a disk image",
            "give a directory or a tar file, or use a VM (`backend = \"vm\"`)",
        )),
        Root::Host => {
            if Place::current() == Place::NixBuild {
                problems.push(Problem::user(
                    subject("root"),
                    "a Nix build sees no system of the host's",
                    "name a store path as `root`: a directory, or a tar file",
                ));
            } else if !has_init(Path::new("/")) {
                problems.push(Problem::host(
                    subject("root"),
                    "a host root boots the host's own systemd, and there is none in its root file system",
                    "install systemd on the host, or name a directory or a tar file as `root`",
                ));
            }
            for unit in machine.units.iter().filter(|unit| !has_unit(unit)) {
                problems.push(Problem::user(
                    subject("units"),
                    format!("the host has no unit file for {unit}"),
                    format!("install the package that brings it, or mend the name; looked in {}", UNIT_PATH.join(", ")),
                ));
            }
        }
        Root::Directory(_) | Root::Tar(_) | Root::Toplevel(_) => {
            if !machine.units.is_empty() {
                problems.push(Problem::user(
                    subject("units"),
                    "only a machine with `root = \"host\"` starts units that the test names",
                    "enable the units in the machine's own files, or start them from the script with start_job",
                ));
            }
            if matches!(machine.root, Root::Tar(_)) && find("tar").is_none() {
                problems.push(Problem::host(subject("root"), "unpacking it needs tar", "install tar"));
            }
        }
    }
    problems
}

fn has_init(root: &Path) -> bool {
    ["usr/lib/systemd/systemd", "lib/systemd/systemd", "sbin/init"].iter().any(|init| root.join(init).exists())
}

/// Whether a unit, or the template that it is an instance of, has a file.
fn has_unit(unit: &str) -> bool {
    let template = unit.split_once('@').and_then(|(name, rest)| Some(format!("{name}@.{}", rest.rsplit_once('.')?.1)));
    UNIT_PATH.iter().map(Path::new).any(|directory| {
        let exists = |name: &str| fs::symlink_metadata(directory.join(name)).is_ok();
        exists(unit) || template.as_deref().is_some_and(exists)
    })
}

#[cfg(test)]
mod tests {
    use driver_core::spec::{Accel, Bind, Disk, Image, ImageFormat, Whose, list};

    use super::*;

    /// A machine whose root is not the host's, which may have no systemd.
    fn container() -> MachineSpec {
        MachineSpec { root: Root::Directory("/srv/root".into()), ..MachineSpec::new("web", "container") }
    }

    #[test]
    fn what_a_container_has_passes() {
        let bind = Bind { source: "/srv".into(), target: "/data".into(), writable: true };
        let spec = MachineSpec { devices: vec!["/dev/null".into()], binds: vec![bind], ..container() };
        assert_eq!(machine(&spec), []);
    }

    #[test]
    fn every_key_of_a_vm_is_refused_at_once() {
        let spec = MachineSpec {
            cpus: Some(1),
            memory: Some(512),
            kernel: Some("/k".into()),
            initrd: Some("/i".into()),
            cmdline: Some(String::new()),
            accel: Accel::Kvm,
            disks: vec![Disk::Empty(1)],
            qemu_args: vec!["-S".to_owned()],
            ..container()
        };
        let keys = ["cpus", "memory", "kernel", "initrd", "cmdline", "accel", "disks", "qemu-args"].map(|key| {
            format!(
                "machine `web`: key `{key}`: backend `container` has no such thing; \
                     use a VM for it (`backend = \"vm\"`), or take the key out"
            )
        });
        let problems = machine(&spec);
        assert_eq!(list(&problems), keys.join("\n"));
        assert!(problems.iter().all(|problem| problem.whose == Whose::User));
    }

    #[test]
    fn a_disk_image_is_no_root_of_a_container() {
        for format in [ImageFormat::Raw, ImageFormat::Qcow2] {
            let image = Image { path: "/srv/disk.img".into(), format };
            let problems = machine(&MachineSpec { root: Root::Image(image), ..container() });
            assert_eq!(
                list(&problems),
                "machine `web`: key `root`: a container has no disk, and so its root cannot be a disk image; \
                 give a directory or a tar file, or use a VM (`backend = \"vm\"`)"
            );
        }
    }

    #[test]
    fn instances_have_the_file_of_their_template() {
        if has_unit("getty@.service") {
            assert!(has_unit("getty@tty7.service"));
        }
        assert!(!has_unit("no-such-unit.service"));
        assert!(!has_unit("no-such@x.service"));
    }
}
