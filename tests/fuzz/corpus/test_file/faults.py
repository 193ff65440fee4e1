#!/usr/bin/env -S tandem run
# /// script
# requires-python = ">=3.11"
#
# [tool.tandem]
# global-timeout = "2m"
#
# [tool.tandem.machines.server]
# backend = "container"
#
# [tool.tandem.machines.client]
# backend = "container"
#
# [tool.tandem.machines.watcher]
# backend = "container"
# ///
