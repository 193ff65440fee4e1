# Upstream's names and calls only. COMMANDS and WAITS stand before this, and what is measured goes to a file beside what the test makes.
import json
import os
import time
from datetime import timedelta
from pathlib import Path

out = Path(driver.out_dir)


def command():
    """The seconds that a command takes, and the guest's clock less the host's."""
    before = time.time()
    there = float(server.succeed("echo $EPOCHREALTIME"))
    after = time.time()
    return after - before, there - (before + after) / 2


def memory():
    """This process's, in bytes."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:"))


before = time.time()
server.start()
server.succeed("true")
boot = time.time() - before

commands, ahead = zip(*(command() for _ in range(COMMANDS)))
ahead = sorted(ahead)[len(ahead) // 2]

late = []
for number in range(WAITS):
    made = f"/tmp/late-{number}"
    # Not in step with who looks.
    pause = 0.3 + 0.37 * number % 1
    server.succeed(f"(sleep {pause:.2f}; echo $EPOCHREALTIME >{made}.new; mv {made}.new {made}) </dev/null >/dev/null 2>&1 &")
    server.wait_for_file(made, timeout=timedelta(minutes=1))
    now = time.time()
    late.append(now + ahead - float(server.succeed(f"cat {made}")))

seen = {"boot": boot, "commands": commands, "late": late, "memory": memory()}
(out / "measured.new").write_text(json.dumps(seen))
(out / "measured.new").rename(out / "measured.json")
# The driver is looked at from outside.
while not (out / "seen").exists():
    time.sleep(0.01)
server.crash()
