# What pyright is told of the scripts beside this file, each of which .ci/check has read with an import of this before it.
from test_driver.prelude import *
from test_driver.vlan import VLan

server: NspawnMachine
client: QemuMachine
vlan1: VLan
