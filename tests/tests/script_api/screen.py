# /// script
# requires-python = ">=3.11"
# [tool.tandem]
# global-timeout = "5m"
# [tool.tandem.machines.box]
# backend = "container"
# ///
"""A container's screen and keyboard are those of its X server, for which programs in it stand."""

from datetime import timedelta

SIZE = (32, 16)
# What xwd says of a screen of this size, blue on the left and red on the right.
XWD = f"""#!/usr/bin/python3
import struct, sys
width, height = {SIZE}
fields = [100, 7, 2, 24, width, height, 0, 0, 32, 0, 32, 32, 4 * width, 4, 0xff0000, 0xff00, 0xff, 8, 256, 0]
sys.stdout.buffer.write(struct.pack('>25I', *fields, width, height, 0, 0, 0))
row = bytes([255, 0, 0, 0]) * (width // 2) + bytes([0, 0, 255, 0]) * (width // 2)
sys.stdout.buffer.write(row * height)
"""
TREE = """
     0x1a00003 "Terminal \\"one\\"": ("xterm" "XTerm")  484x316+0+0  +0+0
     0x1a00001 (has no name): ()  10x10+-100+-100  +-100+-100
        0x1a0000e "a clock": ()  484x316+0+0  +0+0
"""


def program(name, text):
    path = driver.out_dir / name
    path.write_text(text)
    path.chmod(0o755)
    box.copy_from_host(path, f"/usr/local/bin/{name}")


with subtest("without the programs it says what is missing"):
    box.succeed("rm -f $(type -P xdotool xwd || true)")
    with t.assertRaisesRegex(AssertionError, "machine box: send_key: .* no keyboard, and no program `xdotool` in it"):
        box.send_key("ret")
    with t.assertRaisesRegex(AssertionError, "machine box: screenshot: .* no screen, and no program `xwd` in it"):
        box.screenshot("nothing")
    t.assertFalse((driver.out_dir / "nothing.png").exists())

with subtest("keys"):
    program("xdotool", '#!/bin/sh\nfor word in "$@"; do printf "%s|" "$word"; done >> /root/keys; echo >> /root/keys\n')
    box.send_key("ret")
    box.send_key("ctrl-alt-f1", delay=None)
    box.send_key("meta_l-a", timedelta(0), log=False)
    box.send_chars("a-'\n", delay=timedelta(0))
    keys = box.succeed("cat /root/keys").splitlines()
    t.assertEqual(keys[:3], [f"key|--clearmodifiers|--|{key}|" for key in ("Return", "ctrl+alt+F1", "super+a")])
    t.assertEqual(keys[3:6], [f"type|--clearmodifiers|--delay|0|--|{char}|" for char in "a-'"])
    t.assertEqual(keys[6:], ["key|--clearmodifiers|--|Return|"])
    with t.assertRaisesRegex(AssertionError, "there is no key 'hyper-x'"):
        box.send_key("hyper-x")

with subtest("the screen"):
    program("xwd", XWD)
    box.screenshot("one")
    box.screenshot("two.png")
    box.screenshot(str(driver.out_dir / "three.png"))
    for name in ("one", "two", "three"):
        png = (driver.out_dir / f"{name}.png").read_bytes()
        t.assertEqual(png[:8], b"\x89PNG\r\n\x1a\n")
        t.assertEqual((int.from_bytes(png[16:20]), int.from_bytes(png[20:24])), SIZE)

with subtest("windows"):
    program("xwininfo", f"#!/bin/sh\ncat <<'END'\n{TREE}END\n")
    t.assertEqual(box.get_window_names()[1:], ["a clock"])
    box.wait_for_window("^Term")
    box.wait_for_x(timeout=timedelta(seconds=60))
    with t.assertRaisesRegex(AssertionError, "action timed out after"):
        box.wait_for_window("calculator", timeout=timedelta(milliseconds=200))
