# /// script
# requires-python = ">=3.11"
#
# [tool.tandem]
# global-timeout = "4m"
#
# [tool.tandem.machines.box]
# backend = "container"
#
# [tool.tandem.machines.vm]
# backend = "vm"
# accel = "tcg"
# ///

start_all()
box.succeed("true")
vm.succeed("true")
