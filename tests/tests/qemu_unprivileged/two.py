import os
import subprocess

assert os.getuid() == 65534
others = [int(pid) for pid in os.listdir("/proc") if pid.isdigit()]
print("the script sees " + ("all processes" if len(others) > 60 else "its run's processes only"))
# Not a child of anything that the driver could wait for.
subprocess.Popen(["sleep", "1000"], start_new_session=True)

start_all()
one.wait_for_unit("multi-user.target")
two.wait_for_unit("multi-user.target")
one.wait_until_succeeds("ping -c 1 192.168.1.2")
two.wait_until_succeeds("ping -6 -c 1 2001:db8:1::1")
one.succeed("echo shared > /tmp/shared/file")
two.succeed("grep shared /tmp/shared/file")
two.copy_from_vm("/etc/hostname", "")
os.rename(os.environ["out"] + "/hostname" if "out" in os.environ else "/mnt/test/out/hostname", "/mnt/test/out/copied")
one.screenshot("seen")
two.crash()
two.start()
two.wait_for_unit("multi-user.target")
one.shutdown()
