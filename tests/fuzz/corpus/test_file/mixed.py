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
start_all()
