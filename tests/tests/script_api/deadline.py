# /// script
# requires-python = ">=3.11"
# [tool.tandem]
# global-timeout = "10s"
# [tool.tandem.machines.box]
# backend = "container"
# ///
"""The deadline of the run ends with its machines, once the script has waited for all of them."""

import time

began = time.monotonic()
box.execute("systemctl poweroff", check_output=False)
join_all()
time.sleep(12)
t.assertGreater(time.monotonic() - began, 11)
