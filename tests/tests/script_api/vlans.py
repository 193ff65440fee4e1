# /// script
# requires-python = ">=3.11"
# [tool.tandem]
# global-timeout = "5m"
# [tool.tandem.machines.one]
# backend = "container"
# [tool.tandem.machines.two]
# backend = "container"
# vlans = [1, 2]
# ///
"""Machines on VLANs."""

from datetime import timedelta

start_all()

with subtest("names"):
    t.assertEqual([vlan.nr for vlan in vlans], [1, 2])
    t.assertEqual((repr(vlan1), repr(vlan2)), ("<Vlan Nr. 1>", "<Vlan Nr. 2>"))

with subtest("addresses"):
    t.assertIn("192.168.1.1/24", one.succeed("ip -4 address show eth1"))
    t.assertIn("192.168.2.2/24", two.succeed("ip -4 address show eth2"))
    t.assertIn("2001:db8:1::2/64", two.succeed("ip -6 address show eth1"))
    one.succeed("ping -c 1 two", "ping -c 1 192.168.1.2")

with subtest("the cable"):
    one.block()
    two.fail("ping -c 1 -W 1 one")
    one.unblock()
    two.wait_until_succeeds("ping -c 1 -W 1 one", timeout=timedelta(seconds=60))

with subtest("a port of the host's"):
    one.succeed("systemd-run --unit=web --working-directory=/etc python3 -m http.server --bind :: 80")
    one.wait_for_open_port(80)
    two.wait_until_succeeds("bash -c ': <>/dev/tcp/one/80'")
    t.assertGreater(one.forward_port(host_port=0, guest_port=80), 0)
