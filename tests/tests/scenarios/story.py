# /// script
# requires-python = ">=3.11"
# [tool.tandem.machines.one]
# backend = "container"
# [tool.tandem.machines.two]
# backend = "container"
# ///
"""A test of two containers that says which phase of it begins."""

print("boot")
start_all()
two.succeed("true")
one.succeed("true")
print("command")
for _ in range(5):
    one.succeed("head -c 100000 /dev/zero | wc -c; sleep 0.05")
print("copy")
two.succeed("head -c 20000000 /dev/zero > /root/zeros")
two.copy_from_machine("/root/zeros")
one.copy_from_host("tandem-out/story/zeros", "/root/zeros")
print("reboot")
one.reboot()
one.succeed("true")
print("shutdown")
one.shutdown()
print("teardown")
