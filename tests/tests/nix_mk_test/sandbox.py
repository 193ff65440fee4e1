import subprocess


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


# By their places, and by the interpreters that they name.
assert run("/bin/bash", "-c", "awk 'BEGIN { print 1 + 1 }'") == "2\n"
assert run("ldd", "--version").startswith("ldd (Debian")
assert os.listdir("/lib/modules")
# The build's own.
assert os.environ["TMPDIR"] == os.environ["NIX_BUILD_TOP"]
with open("/dev/null", "w") as null:
    print("x", file=null)
with open("/etc/passwd") as passwd:
    assert "root" in passwd.read()
assert os.path.exists("/proc/self/exe")
assert os.getuid() == 0
# Nothing is mounted where it should not be, and nothing of the old root is left.
assert not {".old", ".root"} & set(os.listdir("/"))
with open("written in the working directory", "w") as file:
    print("x", file=file)
