# A backdoor in an initrd, and its way to the root. The guest's own disk serves as the initrd: what systemd goes by is a file.
import datetime

PREPARE = r"""
touch /etc/initrd-release
mkdir -p /sysroot /etc/systemd/system/sysinit.target.wants /etc/systemd/system/backdoor.service.d
: >/etc/fstab
ln -sf /lib/systemd/system/initrd.target /etc/systemd/system/default.target
ln -sf ../backdoor.service /etc/systemd/system/sysinit.target.wants/
printf '[Unit]\nDefaultDependencies=no\n' >/etc/systemd/system/backdoor.service.d/initrd.conf
mkdir /etc/systemd/system/initrd-cleanup.service.d
printf '[Service]\nExecStart=\nExecStart=/bin/true\n' >/etc/systemd/system/initrd-cleanup.service.d/test.conf
sync
"""

one.start(allow_reboot=True)
one.succeed(PREPARE)
one.reboot()
one.wait_for_unit("initrd.target", timeout=datetime.timedelta(minutes=4))
one.succeed("test -e /etc/initrd-release && test -e /sysroot/etc/os-release")

one.switch_root()
assert one.connected
one.succeed("test ! -e /etc/initrd-release")
assert one.succeed("findmnt --noheadings --output SOURCE /") == "/dev/vdb\n"
one.wait_for_unit("multi-user.target", timeout=datetime.timedelta(minutes=4))
one.shutdown()
