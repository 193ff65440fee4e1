# What scripts of upstream's do with VMs, by upstream's names.
import datetime
import os
import uuid
from pathlib import Path

from test_driver.efi import STORE_SIZE, EfiVariable
from test_driver.errors import MachineError, RequestedAssertionFailed

PATIENCE = datetime.timedelta(minutes=4)
vendor = uuid.UUID("b5f1ba5c-3b7e-4b7d-9c1e-0d3c7a3f1a10")


def found(name):
    # As upstream's own test looks for one.
    guid = uuid.UUID(bytes=vendor.bytes_le)
    return [variable.data for variable in one.read_efi_vars() if variable.name == name and variable.vendorUUID == guid]


with subtest("before its first start"):
    assert (one.booted, one.connected, one.pid, one.process) == (False, False, None, None)
    with t.assertRaisesRegex(RequestedAssertionFailed, "it has no UEFI variables yet; create_efi_vars"):
        one.read_efi_vars()
    one.create_efi_vars()
    assert one.read_efi_vars() == []
    one.write_efi_vars([EfiVariable(vendor_uuid=vendor, name="FromTheScript", data=bytes([0x2A]))])
    one.dump_efi_vars()
    assert found("FromTheScript") == [b"\x2a"]
    assert (one.state_dir / "one-efi-vars.fd").stat().st_size == STORE_SIZE

with subtest("a process, and directories"):
    one.start(allow_reboot=True)
    assert one.booted and one.process.poll() is None and one.process.pid == one.pid
    assert Path(f"/proc/{one.pid}/comm").read_text().startswith("qemu-system")
    one.connect()
    assert one.connected
    one.wait_for_unit("multi-user.target")
    (one.shared_dir / "from-the-script").write_text("seen")
    assert one.succeed("cat /tmp/shared/from-the-script") == "seen"
    assert (one.state_dir / "one.qcow2").exists()

with subtest("the firmware has the variable, and the guest changes it"):
    path = f"/sys/firmware/efi/efivars/FromTheScript-{vendor}"
    assert one.succeed(f"od -An -v -tx1 {path}").split() == ["07", "00", "00", "00", "2a"]
    one.succeed(f"chattr -i {path} && printf '\\7\\0\\0\\0\\x2b' >{path}")
    with t.assertRaisesRegex(RequestedAssertionFailed, "only while it is stopped"):
        one.read_efi_vars()
    with t.assertRaises(RequestedAssertionFailed):
        one.create_efi_vars()

with subtest("monitor, terminals and a screen"):
    assert one.wait_for_monitor_prompt() == "(qemu) "
    assert "one" in one.send_monitor_command("info name")
    assert one.qmp_client.send("query-status")["status"] == "running"
    one.wait_until_tty_matches("1", "one login:", timeout=PATIENCE)
    one.dump_tty_contents("1")
    one.wait_until_succeeds("journalctl --boot --output=cat _TRANSPORT=stdout | grep 'one login:'", timeout=PATIENCE)
    with t.assertRaisesRegex(RequestedAssertionFailed, "no virtual terminal"):
        one.dump_tty_contents("1; reboot")
    with t.assertRaises(RequestedAssertionFailed):
        one.wait_for_x(timeout=datetime.timedelta(seconds=1))
    one.succeed(
        "printf '[Unit]\\nDescription=Current graphical user session\\n' >/run/systemd/system/graphical.target",
        "mkdir -p /tmp/.X11-unix && touch /tmp/.X11-unix/X0",
        "systemctl daemon-reload && systemctl start graphical.target",
    )
    one.wait_for_x(timeout=PATIENCE)

with subtest("SSH"):
    dump_machine_ssh()
    assert one.ssh_backdoor_command().startswith("ssh -o User=root ")

with subtest("a reboot of the guest's own, and the shell after it"):
    boot = one.succeed("cat /proc/sys/kernel/random/boot_id")
    pid = one.pid
    one.execute("systemctl --no-block reboot", check_output=False)
    one.connected = False
    assert not one.connected
    one.connect()
    assert one.connected and one.pid == pid
    assert one.succeed("cat /proc/sys/kernel/random/boot_id") != boot

with subtest("stopped, its variables can be read"):
    process = one.process
    one.shutdown()
    assert process.poll() == 0 and one.process is None
    assert found("FromTheScript") == [b"\x2b"]
    names = [variable.name for variable in one.read_efi_vars()]
    assert "BootOrder" in names, names
    (one.state_dir / "one-efi-vars.fd").write_bytes(b"no store")
    with t.assertRaisesRegex(MachineError, "one-efi-vars.fd: a store of UEFI variables has 540672 bytes, not 8"):
        one.dump_efi_vars()

assert os.path.isdir(one.out_dir)
