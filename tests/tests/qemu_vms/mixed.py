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

EAR = """
import socket
ear = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
ear.bind(("::", 5000))
while True:
    open("/tmp/heard-" + ear.recv(100).decode(), "w")
"""

MOUTH = """
import socket
for family, address in (socket.AF_INET, ("192.168.1.255", 5000)), (socket.AF_INET6, ("ff02::1%eth1", 5000)):
    mouth = socket.socket(family, socket.SOCK_DGRAM)
    mouth.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    address = socket.getaddrinfo(*address, family, socket.SOCK_DGRAM)[0][4]
    mouth.sendto(("broadcast", "multicast")[family == socket.AF_INET6].encode(), address)
"""

with subtest("broadcast and multicast pass"):
    for here, there in ((box, vm), (vm, box)):
        there.succeed(f"systemd-run --unit=ear python3 -c '{EAR}'")
        there.wait_until_succeeds("grep -qi :1388 /proc/net/udp6")
        here.succeed(f"python3 -c '{MOUTH}'")
        there.wait_for_file("/tmp/heard-broadcast", timeout=30)
        there.wait_for_file("/tmp/heard-multicast", timeout=30)

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
