"""What a guest's root may try against the host. Every attempt that succeeds is printed as a line.

Each is harmless if it does succeed: it writes the value that is there already, or asks for nothing to be done.
"""

import ctypes
import errno
import glob
import os
import subprocess
import sys

# A file of the host's that the machine has a copy of, one that it should not even see, and the host's mount namespace.
TOKEN, SECRET, HOST = sys.argv[1:]
if os.readlink("/proc/self/ns/mnt") == HOST:
    sys.exit("this is the host itself")
LIBC = ctypes.CDLL(None, use_errno=True)
SYS_INIT_MODULE = {"x86_64": 175, "aarch64": 105}.get(os.uname().machine)


def succeeded(what):
    print(what)


def attempt(what, function):
    try:
        function()
    except (OSError, subprocess.CalledProcessError):
        return
    succeeded(what)


def shell(command):
    subprocess.run(["sh", "-c", command], check=True, capture_output=True)


def rewrite(path):
    """Writes to a file what it holds."""
    with open(path) as file:
        value = file.read()
    with open(path, "w") as file:
        file.write(value)


def system_call(result):
    if result == -1:
        raise OSError(ctypes.get_errno(), "")


# Sysctls, by every way that leads to them. Those of the network are the machine's own.
def sysctls():
    trees = ["/proc", "/run/host/proc"]
    os.makedirs("/root/fresh", exist_ok=True)
    try:
        shell("mount -t proc proc /root/fresh")
        trees.append("/root/fresh")
    except subprocess.CalledProcessError:
        pass
    for tree in trees:
        for name in ["vm/swappiness", "kernel/core_pattern", "kernel/printk", "fs/inotify/max_user_instances"]:
            attempt(f"write the sysctl {tree}/sys/{name}", lambda: rewrite(f"{tree}/sys/{name}"))
        # An unknown key: the kernel only prints its help.
        attempt(f"write {tree}/sysrq-trigger", lambda: open(f"{tree}/sysrq-trigger", "w").write("?"))
    for path in ["/sys/kernel/mm/transparent_hugepage/enabled", "/sys/kernel/mm/ksm/run"]:
        for prefix in ["", "/run/host"]:
            attempt(f"write {prefix}{path}", lambda: rewrite(prefix + path))


sysctls()
for mount in ["/proc/sys", "/proc", "/sys", "/run/host/proc", "/run/host/sys", "/sys/fs/cgroup", "/"]:
    subprocess.run(["mount", "-o", "remount,rw", mount], capture_output=True)
    subprocess.run(["mount", "-o", "remount,bind,rw", mount], capture_output=True)
sysctls()

# Device nodes: the host's memory, its log, its first disk, a terminal.
disk = next((os.stat(path).st_rdev for path in glob.glob("/run/host/dev/[sv]da")), os.makedev(254, 0))
for kind, number in [("c", os.makedev(1, 1)), ("c", os.makedev(1, 11)), ("c", os.makedev(4, 0)), ("b", disk), ("b", os.makedev(7, 0))]:
    node = f"/root/node-{kind}-{number}"
    flag = 0o020600 if kind == "c" else 0o060600
    attempt(f"make the node {kind} {number}", lambda: os.mknod(node, flag, number))
    attempt(f"open the node {kind} {number}", lambda: os.close(os.open(node, os.O_RDONLY)))
subprocess.run(["mount", "-o", "remount,dev", "/"], capture_output=True)
for path in ["/dev/mem", "/dev/port", "/dev/vda", "/dev/sda", "/dev/kvm", "/dev/loop-control"]:
    attempt(f"open {path}", lambda: os.close(os.open(path, os.O_RDWR)))

# The kernel itself. An empty module is refused as such only to who may load one.
if SYS_INIT_MODULE:
    LIBC.syscall(SYS_INIT_MODULE, b"", 0, b"")
    if ctypes.get_errno() not in (errno.EPERM, errno.ENOSYS):
        succeeded(f"load a module: {os.strerror(ctypes.get_errno())}")

# The clock: first an adjustment by nothing. Only if that is refused is the time that it is set.
class Timex(ctypes.Structure):
    _fields_ = [("modes", ctypes.c_uint), ("rest", ctypes.c_long * 40)]


ADJ_SETOFFSET = 0x0100
try:
    system_call(LIBC.clock_adjtime(0, ctypes.byref(Timex(modes=ADJ_SETOFFSET))))
    succeeded("adjust the clock")
except OSError:
    import time

    attempt("set the clock", lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()))

# Files of the host's, through whatever process or mount may lead out.
def reach(root):
    if os.path.exists(root + SECRET):
        succeeded(f"see {root + SECRET}")
    # If this is the machine's copy, the host's file stays as it is, which the test looks at.
    try:
        open(root + TOKEN, "r+").write("x")
    except OSError:
        pass


for proc in ["/proc", "/run/host/proc"]:
    for root in glob.glob(f"{proc}/*/root") + glob.glob(f"{proc}/*/cwd") + glob.glob(f"{proc}/*/fd/*"):
        reach(root)
        reach(f"{root}/..")
        reach(f"{root}/../../../..")

# The cgroups of version 1 would run a program of the guest's on the host.
for path in glob.glob("/sys/fs/cgroup/**/release_agent", recursive=True):
    attempt(f"write {path}", lambda: rewrite(path))
os.makedirs("/root/cgroup", exist_ok=True)
for line in open("/proc/self/cgroup"):
    options = line.split(":")[1].replace("name=", "none,name=")
    if not options:
        continue
    try:
        shell(f"mount -t cgroup -o {options} cgroup /root/cgroup")
    except subprocess.CalledProcessError:
        continue
    attempt(f"write the release agent of {options}", lambda: rewrite("/root/cgroup/release_agent"))
    subprocess.run(["umount", "/root/cgroup"])

# Processes of the host's.
for proc in ["/proc", "/run/host/proc", "/root/fresh"]:
    for path in glob.glob(f"{proc}/[0-9]*/cmdline"):
        try:
            command = open(path, "rb").read()
        except OSError:
            continue
        if b"987654" in command:
            succeeded(f"see the host's process {path}")

# Disks.
attempt("mount a disk", lambda: shell(f"mount -o ro /root/node-b-{disk} /mnt"))
