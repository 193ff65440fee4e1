# /// script
# requires-python = ">=3.11"
# [tool.tandem]
# global-timeout = "1m"
# [tool.tandem.machines.client]
# backend = "sandbox"
# [tool.tandem.machines.server]
# backend = "sandbox"
# ///
start_all()
server.succeed("mkdir -p /srv/hello", "echo 'Hello from a sandbox' > /srv/hello/index.html")
server.succeed("nohup python3 -m http.server --directory /srv/hello 80 >/dev/null 2>&1 &")
client.wait_for_open_port(80, "server")

with subtest("the client reaches the server by its name"):
    t.assertEqual(client.succeed("curl -fsS http://server/"), "Hello from a sandbox\n")

with subtest("what it cannot do is said"):
    with t.assertRaisesRegex(Exception, "machine client: wait_for_unit: there is no systemd in it"):
        client.wait_for_unit("basic.target")
