# /// script
# [tool.tandem]
# machined = "auto"
# boot-timeout = 30
# [tool.tandem.machines.box]
# backend = "container"
# root = "/guest"
# ///
box.succeed("true")
