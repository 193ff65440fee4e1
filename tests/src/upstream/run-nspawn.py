"""Runs a container in a network namespace of its own, its interfaces plugged into bridges of its VLANs."""

import argparse
import contextlib
import fcntl
import json
import logging
import os
import pathlib
import signal
import subprocess
import sys

log = logging.getLogger("nixos-nspawn")

# The environment has no PATH.
SEARCH = "/run/current-system/sw/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run(*command, check=True):
    environment = {**os.environ, "PATH": SEARCH}
    return subprocess.run(command, check=check, env=environment, stdin=subprocess.DEVNULL)


def ip(*words, check=True):
    return run("ip", *map(str, words), check=check)


def exists(interface):
    command = ["ip", "link", "show", "dev", interface]
    environment = {**os.environ, "PATH": SEARCH}
    return subprocess.run(command, env=environment, capture_output=True).returncode == 0


def ports(bridge):
    command = ["ip", "-json", "link", "show", "master", bridge]
    environment = {**os.environ, "PATH": SEARCH}
    said = subprocess.run(command, env=environment, capture_output=True, check=True, text=True).stdout
    return [link["ifname"] for link in json.loads(said or "[]") if link]


@contextlib.contextmanager
def locked(vlan):
    directory = pathlib.Path("/run/nixos-nspawn")
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / f"vlan-{vlan}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def namespace(name):
    ip("netns", "add", name)
    try:
        ip("-n", name, "link", "set", "lo", "up")
        yield f"/run/netns/{name}"
    finally:
        ip("netns", "delete", name)


def make_bridge(vlan):
    bridge, tap = f"br{vlan}", f"vde-tap{vlan}"
    if not exists(bridge):
        ip("link", "add", bridge, "type", "bridge")
        ip("link", "set", bridge, "up")
        ip("address", "add", f"192.168.{vlan}.254/24", "dev", bridge)
        ip("address", "add", f"2001:db8:{vlan}::fe/64", "dev", bridge)
    if exists(tap):
        ip("link", "set", tap, "master", bridge)
        ip("link", "set", tap, "up")
    else:
        log.warning("TAP %s not found; container will be isolated from VDE", tap)
        if not os.path.exists("/dev/net"):
            log.warning("/dev/net is missing")
    return bridge


@contextlib.contextmanager
def plugged(container, interface, namespace_name):
    name, vlan = interface["name"], interface["vlan"]
    end = f"{container}-{name}"
    with locked(vlan):
        bridge = make_bridge(vlan)
        ip("link", "add", end, "type", "veth", "peer", "name", name, "netns", namespace_name)
        ip("link", "set", end, "master", bridge)
        ip("link", "set", end, "up")
    try:
        yield
    finally:
        with locked(vlan):
            ip("link", "delete", end, check=False)
            if all(port == f"vde-tap{vlan}" for port in ports(bridge)):
                ip("link", "delete", bridge)


@contextlib.contextmanager
def root_directory(path):
    path.mkdir(mode=0o755, parents=True, exist_ok=True)
    try:
        yield path
    finally:
        if (path / "var/empty").exists():
            run("chattr", "-i", path / "var/empty")


@contextlib.contextmanager
def running(command):
    # An older systemd-nspawn looks for the container's systemd in its root directory, which is still empty.
    process = subprocess.Popen([NSPAWN, *command], env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"})
    try:
        print(f"systemd-nspawn's PID is {process.pid}", flush=True)
        yield process
    finally:
        process.terminate()
        process.wait()


def find(program):
    for directory in SEARCH.split(":"):
        path = os.path.join(directory, program)
        if os.access(path, os.X_OK):
            return path
    raise SystemExit(f"{program} is not there")


NSPAWN = find("systemd-nspawn")


def main():
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--container-name", required=True)
    parser.add_argument("--root-dir", required=True, type=pathlib.Path)
    parser.add_argument("--shared-dir", type=pathlib.Path)
    parser.add_argument("--interfaces-json", required=True, type=json.loads)
    parser.add_argument("--init", required=True)
    parser.add_argument("--cmdline-json", required=True, type=json.loads)
    given, options = parser.parse_known_args()
    name = given.container_name
    logging.basicConfig(level=logging.WARNING, format=f"nixos-nspawn({name}): %(message)s")
    assert os.geteuid() == 0, "systemd-nspawn needs root"
    root = pathlib.Path(os.environ.get("RUN_NSPAWN_ROOT_DIR", given.root_dir)).absolute()
    shared = os.environ.get("RUN_NSPAWN_SHARED_DIR", given.shared_dir)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with contextlib.ExitStack() as stack:
        path = stack.enter_context(namespace(f"nixos-nspawn-{name}"))
        for interface in given.interfaces_json:
            stack.enter_context(plugged(name, interface, f"nixos-nspawn-{name}"))
        stack.enter_context(root_directory(root))
        command = [*options, f"--directory={root}", f"--network-namespace-path={path}"]
        if shared is not None:
            command.append(f"--bind={shared}:/tmp/shared")
        process = stack.enter_context(running([*command, given.init, *given.cmdline_json]))
        status = process.wait()
    sys.exit(status if status >= 0 else 128 - status)


main()
