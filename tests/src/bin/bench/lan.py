"""Measures the network between two machines, on TCP connections: `serve` is one side, `measure HOST SECONDS COUNT` the other.

The latter prints two lines: how much the former received, in gigabits per second, and COUNT round trips of 64 bytes, in microseconds."""

import contextlib
import os
import socket
import sys
import time

PORT = 7777
BLOCK = 64 * 1024
MESSAGE = 64
PATIENCE = 60.0


def serve():
    with socket.create_server(("", PORT)) as listener:
        while True:
            peer, _ = listener.accept()
            with peer:
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                (swallow if peer.recv(1) == b"s" else echo)(peer)


def swallow(peer):
    buffer, total = bytearray(BLOCK), 0
    while length := peer.recv_into(buffer):
        total += length
    peer.sendall(str(total).encode())


def echo(peer):
    with on_one_processor():
        while message := peer.recv(MESSAGE):
            peer.sendall(message)


@contextlib.contextmanager
def on_one_processor():
    """Else a round trip takes ten times as long whenever the kernel puts the two sides apart: that is what waking a processor takes."""
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(processors)})
    yield
    os.sched_setaffinity(0, processors)


def connect(host, kind):
    """The other side may not be there yet."""
    began = time.monotonic()
    while True:
        try:
            peer = socket.create_connection((host, PORT), PATIENCE)
            break
        except OSError:
            if time.monotonic() - began > PATIENCE:
                raise
            time.sleep(0.05)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    peer.sendall(kind)
    return peer


def throughput(host, seconds):
    with connect(host, b"s") as peer:
        block, began = bytes(BLOCK), time.perf_counter()
        while time.perf_counter() - began < seconds:
            peer.sendall(block)
        peer.shutdown(socket.SHUT_WR)
        total = int(peer.makefile().read())
        return total * 8 / 1e9 / (time.perf_counter() - began)


def round_trips(host, count):
    message, times = bytes(MESSAGE), []
    with connect(host, b"e") as peer, on_one_processor():
        for _ in range(count):
            began = time.perf_counter()
            peer.sendall(message)
            missing = MESSAGE
            while missing:
                missing -= len(peer.recv(missing)) or sys.exit("the other side is gone")
            times.append((time.perf_counter() - began) * 1e6)
    return times


if sys.argv[1] == "serve":
    serve()
else:
    host, seconds, count = sys.argv[2:]
    print(throughput(host, float(seconds)))
    print(*round_trips(host, int(count)))
