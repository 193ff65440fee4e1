# /// script
# requires-python = ">=3.11"
#
# [tool.tandem]
# global-timeout = "10m"
#
# [tool.tandem.machines.box]
# backend = "container"
#
# [tool.tandem.machines.vm]
# backend = "vm"
#
# [tool.tandem.machines.gate]
# backend = "container"
# vlans = [1, 2]
#
# [tool.tandem.machines.far]
# backend = "container"
# vlans = [2]
# ///

# A virtual machine among containers. All are made from the programs of this host; the VM has a kernel of its own.
# Run it as root: tandem run examples/mixed.py
#
#     VLAN 1:  box   vm   gate
#     VLAN 2:             gate   far


def serve(machine):
    """Serves a page that names the machine, from a unit that lasts until it goes down."""
    machine.succeed(
        "mkdir -p /srv/page",
        f"echo 'This is {machine.name}' > /srv/page/index.html",
        "systemd-run --unit=page --working-directory=/srv/page python3 -m http.server --bind :: 80",
    )
    machine.wait_for_open_port(80)


start_all()
serve(box)

with subtest("each is what it was declared as"):
    for machine in (box, vm):
        kind = machine.succeed("systemd-detect-virt").strip()
        print(f"{machine.name} runs on {kind}")
        t.assertIn(kind, ("systemd-nspawn", "kvm", "qemu"))

with subtest("they reach each other by name, over IPv4 and IPv6"):
    for here, there in ((box, vm), (vm, box), (gate, vm), (vm, gate), (gate, far), (far, gate)):
        here.succeed(f"ping -4 -c 1 {there.name}", f"ping -6 -c 1 {there.name}")

with subtest("they serve each other pages"):
    serve(vm)
    t.assertEqual(box.succeed("curl -fsS http://vm/"), "This is vm\n")
    t.assertEqual(vm.succeed("curl -fsS http://box/"), "This is box\n")

with subtest("nobody reaches another VLAN"):
    for here, there in ((vm, far), (box, far), (far, vm), (far, box)):
        here.fail(f"ping -4 -c 1 -W 1 {there.name}", f"ping -6 -c 1 -W 1 {there.name}")

with subtest("a crashed VM is gone, and comes back with its files"):
    vm.succeed("sync")
    vm.crash()
    box.fail("ping -c 1 -W 1 vm")
    vm.start()
    box.wait_until_succeeds("ping -c 1 -W 1 vm")
    t.assertEqual(vm.succeed("cat /srv/page/index.html"), "This is vm\n")
