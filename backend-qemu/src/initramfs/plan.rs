//! What the first program of a guest is to do, as `init/plan.rs` reads it.

use driver_core::guest_files::Change;
use driver_core::network::Attachment;
use driver_core::spec::STORE;

use super::{Contents, Place, Scratch, Share, Source, Upper};

/// The words of a plan, each ended by a NUL.
#[derive(Debug, Default)]
pub(super) struct Plan(Vec<u8>);

/// A text that no plan can hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} has a NUL in it, which no text for a guest may have")]
pub struct HasNul(String);

impl Plan {
    /// The plan of a machine that loads these files of the initramfs as modules.
    pub(super) fn of(contents: &Contents<'_>, modules: &[String]) -> Result<Vec<u8>, HasNul> {
        let mut plan = Self::default();
        let inits = contents.inits.join(" ");
        for module in modules {
            plan.step(&["module", module])?;
        }
        for attachment in contents.attachments {
            let (mac, addresses) = (mac(attachment.mac), addresses(attachment));
            plan.step(&["interface", &mac, &attachment.interface, &addresses])?;
        }
        plan.step(&["wait", "/dev/hvc0"])?;
        match &contents.root {
            Source::Share { tag, upper } => {
                let upper = match upper {
                    Upper::Memory => "-",
                    Upper::Disk(device) => {
                        plan.step(&["wait", device])?;
                        device
                    }
                };
                plan.step(&["overlay", tag, upper])?;
            }
            Source::Empty { device, .. } => {
                plan.step(&["wait", device])?;
                plan.step(&["empty", device])?;
            }
            Source::Disk { device, volumes } => {
                let devices = volumes.iter().map(|volume| volume.device(device));
                let kinds = volumes.iter().map(|volume| volume.kind.name());
                let volumes: Vec<(String, &str)> = devices.zip(kinds).collect();
                for (device, _) in &volumes {
                    plan.step(&["wait", device])?;
                }
                for (device, kind) in &volumes {
                    plan.step(&["disk", device, kind, &inits])?;
                }
            }
        }
        plan.step(&["enter"])?;
        if let Source::Empty { store, .. } = &contents.root {
            plan.step(&["share", store, STORE])?;
        }
        for Share { place, target } in contents.shares {
            match place {
                Place::Tag(tag) => plan.step(&["share", tag, target])?,
                Place::Disk(device) => {
                    plan.step(&["wait", device])?;
                    plan.step(&["volume", device, target])?;
                }
            }
        }
        for Scratch { target, mode, changes } in contents.scratch {
            plan.step(&["scratch", target, &format!("{mode:o}")])?;
            changes.iter().try_for_each(|change| plan.change(change))?;
        }
        if let Some(Change::Write { path, content, .. }) = contents.changes.last() {
            plan.step(&["unless", path, content])?;
        }
        for (path, mode) in contents.modes {
            plan.step(&["mode", &format!("/{path}"), &format!("{mode:o}")])?;
        }
        for change in contents.changes {
            plan.change(change)?;
        }
        plan.step(&["execute", &inits])?;
        Ok(plan.0)
    }

    fn change(&mut self, change: &Change) -> Result<(), HasNul> {
        match change {
            Change::Write { path, mode, content } => self.step(&["write", path, &format!("{mode:o}"), content]),
            Change::Link { path, target } => self.step(&["link", path, target]),
            Change::Remove { path } => self.step(&["remove", path]),
            Change::EmptyRootPassword => self.step(&["empty-root-password"]),
        }
    }

    fn step(&mut self, words: &[&str]) -> Result<(), HasNul> {
        for word in words {
            if word.contains('\0') {
                return Err(HasNul((*word).to_owned()));
            }
            self.0.extend_from_slice(word.as_bytes());
            self.0.push(0);
        }
        Ok(())
    }
}

fn mac(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

fn addresses(attachment: &Attachment) -> String {
    format!("{}/24 {}/64", attachment.ipv4, attachment.ipv6)
}

/// The guest's end.
#[cfg(test)]
#[path = "../../init/plan.rs"]
mod read;

#[cfg(test)]
mod tests {
    use driver_core::spec::VlanId;

    use super::*;
    use crate::volume::{FileSystem, Volume};

    use read::Step;

    #[test]
    fn the_guest_reads_what_is_written() {
        let attachment = Attachment {
            vlan: VlanId::new(1).unwrap(),
            interface: "eth1".into(),
            mac: [0x52, 0x54, 0, 0x12, 1, 2],
            ipv4: "192.168.1.2".parse().unwrap(),
            ipv6: "2001:db8:1::2".parse().unwrap(),
        };
        let changes = [
            Change::Remove { path: "/a b".into() },
            Change::mask("x.service"),
            Change::EmptyRootPassword,
            Change::write("/etc/machine-id", "id\n"),
        ];
        let shares = [
            Share { place: Place::Tag("modules".into()), target: "/lib/modules/6.1".into() },
            Share { place: Place::Disk("/dev/vdb".into()), target: "/data".into() },
        ];
        let contents = Contents {
            root: Source::Share { tag: "root", upper: Upper::Disk("/dev/vda") },
            attachments: &[attachment],
            shares: &shares,
            scratch: &[Scratch { target: "/run", mode: 0o755, changes: &[Change::write("/run/x", "x")] }],
            modes: &[("tmp", 0o1777)],
            changes: &changes,
            inits: &["/sbin/init", "/init"],
        };
        let plan = Plan::of(&contents, &["/modules/0.ko".into()]).unwrap();
        let write = |content| read::Change::Write { path: "/etc/machine-id", mode: 0o644, content };
        assert_eq!(
            read::Plan::parse(&plan).unwrap().steps,
            [
                Step::Module { file: "/modules/0.ko" },
                Step::Interface {
                    mac: "52:54:00:12:01:02",
                    name: "eth1",
                    addresses: vec!["192.168.1.2/24", "2001:db8:1::2/64"]
                },
                Step::Wait { path: "/dev/hvc0" },
                Step::Wait { path: "/dev/vda" },
                Step::Overlay { tag: "root", upper: "/dev/vda" },
                Step::Enter,
                Step::Share { tag: "modules", target: "/lib/modules/6.1" },
                Step::Wait { path: "/dev/vdb" },
                Step::Volume { device: "/dev/vdb", target: "/data" },
                Step::Scratch { target: "/run", mode: "755" },
                Step::File(read::Change::Write { path: "/run/x", mode: 0o644, content: "x" }),
                Step::Unless { path: "/etc/machine-id", content: "id\n" },
                Step::File(read::Change::Mode { path: "/tmp", mode: 0o1777 }),
                Step::File(read::Change::Remove { path: "/a b" }),
                Step::File(read::Change::Link { path: "/etc/systemd/system/x.service", target: "/dev/null" }),
                Step::File(read::Change::EmptyRootPassword),
                Step::File(write("id\n")),
                Step::Execute { inits: vec!["/sbin/init", "/init"] },
            ]
        );
    }

    #[test]
    fn a_disk_is_tried_volume_by_volume() {
        let volume = |partition, kind| Volume { partition, kind };
        let volumes = [volume(None, FileSystem::Xfs), volume(Some(2), FileSystem::Btrfs)];
        let root = Source::Disk { device: "/dev/vda", volumes: &volumes };
        let contents =
            Contents { root, attachments: &[], shares: &[], scratch: &[], modes: &[], changes: &[], inits: &["/init"] };
        let plan = Plan::of(&contents, &[]).unwrap();
        assert_eq!(
            read::Plan::parse(&plan).unwrap().steps[1..],
            [
                Step::Wait { path: "/dev/vda" },
                Step::Wait { path: "/dev/vda2" },
                Step::Disk { device: "/dev/vda", kind: "xfs", inits: vec!["/init"] },
                Step::Disk { device: "/dev/vda2", kind: "btrfs", inits: vec!["/init"] },
                Step::Enter,
                Step::Execute { inits: vec!["/init"] },
            ]
        );
    }

    #[test]
    fn a_root_that_is_empty_has_a_store() {
        let root = Source::Empty { device: "/dev/vda", store: "root" };
        let contents = Contents {
            root,
            attachments: &[],
            shares: &[],
            scratch: &[],
            modes: &[],
            changes: &[],
            inits: &["/nix/store/x/init"],
        };
        let plan = Plan::of(&contents, &[]).unwrap();
        assert_eq!(
            read::Plan::parse(&plan).unwrap().steps[1..],
            [
                Step::Wait { path: "/dev/vda" },
                Step::Empty { device: "/dev/vda" },
                Step::Enter,
                Step::Share { tag: "root", target: "/nix/store" },
                Step::Execute { inits: vec!["/nix/store/x/init"] },
            ]
        );
    }

    #[test]
    fn a_nul_is_refused() {
        let error = Plan::default().step(&["write", "/a\0b"]).unwrap_err();
        assert!(error.to_string().contains("NUL"));
    }
}
