start_all()
one.wait_until_succeeds("ping -c 1 two")
two.wait_until_succeeds("ping -6 -c 1 2001:db8:1::1")
# Files of the store are root's in the machine, as they are outside of the sandbox.
one.succeed("test $(stat -c %u /usr/bin/env) = 0 && test $(stat -c %a /etc/shadow) = 640 && touch /usr/bin/new")
print("units that failed:", one.execute("systemctl is-system-running --wait; systemctl --failed --no-legend")[1])
one.screenshot("seen")
two.copy_from_machine("/etc/hostname")
