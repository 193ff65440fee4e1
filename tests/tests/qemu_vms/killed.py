# /// script
# [tool.tandem]
# [tool.tandem.machines.vm]
# backend = "vm"
# ///
import time

vm.start()
vm.wait_for_console_text("Welcome to")
print("the machine boots")
time.sleep(60)
