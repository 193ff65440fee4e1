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
# ///

# Two machines on one LAN, each with a systemd of its own, made from the programs of this host.
# Run it as root: tandem run examples/hello.py


def serve():
    """Serves /srv/hello from a unit that lasts until the machine goes down."""
    server.succeed("systemd-run --unit=hello --working-directory=/srv/hello python3 -m http.server --bind :: 80")
    server.wait_for_open_port(80)


start_all()
# A VM that crashes loses what it has not written to its disk yet, and this test runs on VMs, too: tandem run --backend vm examples/hello.py
server.succeed("mkdir -p /srv/hello", "echo 'Hello from the server' > /srv/hello/index.html", "sync")
serve()

with subtest("the client reaches the server by its name"):
    client.succeed("ping -4 -c 1 server", "ping -6 -c 1 server")
    page = client.succeed("curl -fsS http://server/")
    t.assertEqual(page, "Hello from the server\n")

with subtest("what the client downloads can be copied out"):
    client.succeed("curl -fsS -o /tmp/hello.html http://server/")
    client.copy_from_machine("/tmp/hello.html")
    t.assertEqual((driver.out_dir / "hello.html").read_text(), page)

with subtest("the client notices that the server crashed"):
    server.crash()
    client.fail("ping -c 1 -W 1 server")

with subtest("the server comes back with its files"):
    server.start()
    serve()
    t.assertEqual(client.succeed("curl -fsS http://server/"), page)
