# What stands before a test script when a type checker reads it. Declarations of the script's machines and VLANs follow, such as
# `server: NspawnMachine;`, then the script.
from test_driver.prelude import *
from test_driver.vlan import VLan  # noqa: F401 - for declarations
