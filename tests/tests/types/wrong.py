# Each line with a remark to pyright is wrong, and no other is. mypy has to find the same lines.
from test_driver.machine.qmp import no_such  # pyright: ignore[reportAttributeAccessIssue]

server.succeeds("true")  # pyright: ignore[reportAttributeAccessIssue]
server.succeed(["true"])  # pyright: ignore[reportArgumentType]
server.succeed("true", timeout="1m")  # pyright: ignore[reportArgumentType]
server.succeed("true", time=1)  # pyright: ignore[reportCallIssue]
server.wait_for_unit()  # pyright: ignore[reportCallIssue]
server.wait_for_open_port("80")  # pyright: ignore[reportArgumentType]
length: int = server.succeed("true")  # pyright: ignore[reportAssignmentType]
code: int = server.execute("true")  # pyright: ignore[reportAssignmentType]
client.send_key(13)  # pyright: ignore[reportArgumentType]
start_all(server)  # pyright: ignore[reportCallIssue]
with subtest():  # pyright: ignore[reportCallIssue]
    vlan9.heal()  # pyright: ignore[reportUndefinedVariable]
t.assertEquivalent(1, 1)  # pyright: ignore[reportAttributeAccessIssue]
t.assertEqual(1)  # pyright: ignore[reportCallIssue]
retry(lambda: True)  # pyright: ignore[reportArgumentType]
log.warn("x")  # pyright: ignore[reportAttributeAccessIssue]
machines[0].name.nope  # pyright: ignore[reportAttributeAccessIssue]
driver.nope()  # pyright: ignore[reportAttributeAccessIssue]
vlans.nr  # pyright: ignore[reportAttributeAccessIssue]
nobody.succeed("true")  # pyright: ignore[reportUndefinedVariable]
create_machine(server)  # pyright: ignore[reportArgumentType]
debug.breakpoint(port="4444")  # pyright: ignore[reportArgumentType]


def body():
    server.wait_for_files("x")  # pyright: ignore[reportAttributeAccessIssue]


@polling_condition(every=1)  # pyright: ignore[reportCallIssue]
def condition():
    pass
