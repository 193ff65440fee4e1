# /// script
# [tool.tandem]
# global-timeout = "5m"
# [tool.tandem.machines.box]
# backend = "container"
# [tool.tandem.machines.vm]
# backend = "vm"
# ///
start_all()

with subtest("container and VM reach each other by name"):
    vm.succeed("ping -4 -c 1 box", "ping -6 -c 1 box")
    box.succeed("ping -4 -c 1 vm", "ping -6 -c 1 vm")

with subtest("what they send arrives as it was"):
    for here, there in ((box, vm), (vm, box)):
        there.succeed(
            "mkdir -p /srv/page",
            "head -c 16M /dev/urandom > /srv/page/blob",
            "systemd-run --unit=page --working-directory=/srv/page python3 -m http.server --bind :: 80",
        )
        there.wait_for_open_port(80)
        sent = there.succeed("sha256sum < /srv/page/blob")
        t.assertEqual(here.succeed(f"curl -fsS http://{there.name}/blob | sha256sum"), sent)

with subtest("a pulled plug cuts it off"):
    vm.block()
    box.fail("ping -c 1 -W 1 vm")
    t.assertEqual(vm.succeed("cat /sys/class/net/eth1/carrier"), "0\n")
    vm.unblock()
    box.wait_until_succeeds("ping -c 1 -W 1 vm")

with subtest("it is there after a reboot and after a crash"):
    vm.reboot()
    vm.succeed("ping -4 -c 1 box")
    vm.block()
    vm.crash()
    vm.start()
    vm.succeed("ping -4 -c 1 box")
