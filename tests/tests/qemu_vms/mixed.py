# /// script
# [tool.tandem]
# global-timeout = "5m"
# [tool.tandem.machines.box]
# backend = "container"
# [tool.tandem.machines.apart]
# backend = "container"
# vlans = [2]
# [tool.tandem.machines.vm]
# backend = "vm"
# env = { COLOUR = "blue" }
# ///
start_all()

with subtest("commands have their status and output"):
    status, output = vm.execute("echo $COLOUR; exit 3")
    t.assertEqual((status, output), (3, "blue\n"))
    t.assertEqual(vm.execute("sleep 60", timeout=1)[0], 124)
    t.assertEqual(vm.succeed("hostname"), "vm\n")

with subtest("container and VM reach each other by name"):
    box.succeed("ping -4 -c 1 vm", "ping -6 -c 1 vm")
    vm.succeed("ping -4 -c 1 box", "ping -6 -c 1 box")
    vm.fail("ping -c 1 -W 1 192.168.2.1")

with subtest("a pulled plug cuts it off"):
    vm.block()
    box.fail("ping -c 1 -W 1 vm")
    vm.unblock()
    box.wait_until_succeeds("ping -c 1 -W 1 vm")

with subtest("its root is a layer above the host's, which it cannot write"):
    vm.succeed("touch /usr/written-in-the-machine", "echo kept > /root/kept")
    t.assertFalse(os.path.exists("/usr/written-in-the-machine"))

with subtest("its files survive a crash"):
    vm.succeed("sync")
    vm.crash()
    box.fail("ping -c 1 -W 1 vm")
    t.assertEqual(vm.succeed("cat /root/kept"), "kept\n")

with subtest("it powers off"):
    vm.shutdown()
