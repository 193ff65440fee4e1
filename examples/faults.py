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

# What is wrong with a network, made on purpose: a partition, a slow link, and a capture of both. All that was done is in the record, and
# the capture opens in Wireshark.
# Run it as root: tandem run examples/faults.py

REACHES = "ping -c 1 -W 1 server"
PAGE = "curl -fsS --max-time {} http://server/"

start_all()
server.succeed("mkdir -p /srv/page", "echo 'Hello' > /srv/page/index.html")
server.succeed("systemd-run --unit=page --working-directory=/srv/page python3 -m http.server --bind :: 80")
server.wait_for_open_port(80)

with vlan1.capture("faults.pcapng", limit="10MB") as capture:
    with subtest("a partition is seen by those that it is between"):
        client.succeed(REACHES)
        vlan1.partition([server, watcher], [client])
        client.fail(REACHES)
        watcher.succeed(REACHES)

    with subtest("it heals"):
        vlan1.heal()
        client.succeed(REACHES)

    with subtest("a slow link makes a timeout"):
        server.link(1).impair(delay="400ms", jitter="20ms", seed=7, direction="out")
        t.assertEqual(client.execute(PAGE.format(0.5))[0], 28)  # curl's status for a timeout
        client.succeed(PAGE.format(10))

    with subtest("without the fault there is none"):
        server.link(1).clear()
        t.assertEqual(client.succeed(PAGE.format(10)), "Hello\n")

with subtest("the capture and the counts show it"):
    print(f"{capture.frames} frames are in {capture.path}")
    t.assertGreater(capture.frames, 20)
    # Each change is a comment of the frame after it.
    captured = capture.path.read_bytes()
    for change in [b"partition: server watcher | client", b"heal", b"link server: out: delay 400ms"]:
        t.assertIn(change, captured)
    stats = vlan1.stats()
    for name, link in stats.items():
        print(f"{name} sent {link.sent.frames} frames and received {link.received.frames}")
    t.assertGreater(stats["client"].sent.frames, stats["watcher"].sent.frames)
