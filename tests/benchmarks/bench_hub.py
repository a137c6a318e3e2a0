"""How fast and how big the hub is, beside two others in the same run: `python tests/benchmarks/bench_hub.py`.

The others are a plain FastAPI broadcaster, which sends each record to each client as one message, and the bare `websockets`
library, which broadcasts the same frames as ours. The server has one core and the clients have another. "To glass" is from the
moment an interval's tick begins, before anything is encoded, until a client has read the last byte of the interval's last frame. An
interval changes every one of 500 facilities. It needs Linux, two cores and about three minutes, and ends by itself. FastAPI is no dependency of
ours: `python -m pip install fastapi`, else its row is left out.
"""

import argparse
import contextlib
import gc
import importlib.util
import multiprocessing
import os
import resource
import socket
import statistics
import struct
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection

import glasses
import psutil
from broadcasters import FACILITIES, KNOWN_INTERVALS, filled, give, serve, stations
from msgspec.structs import replace

from energydash import schema
from energydash.config import FACILITY_TOPIC
from energydash.server import app
from energydash.server.fanout import Client, Fanout
from energydash.server.framing import Form
from energydash.stream import broker

RUN_S = 10.0
GIVE_UP_S = 20.0
RECORDS_A_SECOND = 10_000

SPAWN = multiprocessing.get_context("spawn")


class Part:
    """A process that is told what to do; it never outlives this one."""

    def __init__(self, target: Callable[..., None], *given: object, after: tuple = ()) -> None:
        self.line, theirs = SPAWN.Pipe()
        self.process = SPAWN.Process(target=target, args=(*given, theirs, *after), daemon=True)
        self.process.start()

    def ask(self, message: object, limit_s: float = 90.0) -> object:
        self.line.send(message)
        return self.hear(limit_s)

    def hear(self, limit_s: float = 90.0) -> object:
        if not self.line.poll(limit_s):
            raise TimeoutError(f"{self.process.name} says nothing")
        return self.line.recv()

    def used(self) -> tuple[float, int]:
        """Seconds of CPU so far, and bytes resident: seen from outside, because a busy one does not answer."""
        process = psutil.Process(self.process.pid)
        times = process.cpu_times()
        return times.user + times.system, process.memory_info().rss

    def end(self) -> None:
        with contextlib.suppress(OSError):
            self.line.send("stop")
        self.process.join(1)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


@contextlib.contextmanager
def stage(kind: str, mqtt: int | None = None) -> Iterator[tuple[Part, Part, Sequence[float]]]:
    began = SPAWN.Array("d", 10_000, lock=False)
    with app.listen("127.0.0.1", 0) as door:
        port = door.getsockname()[1]
        server = Part(serve, kind, door, began, after=(mqtt,))
        clients = Part(glasses.attend, port)
        try:
            server.hear()
            yield server, clients, began
        finally:
            server.end()
            clients.end()


def percentile(values: list[float], share: float) -> float:
    return values[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


def broadcast(
    kind: str, count: int, every_s: float, *, stalled: int = 0, clients_are: str = ""
) -> None:
    """Feed full intervals to so many clients for a while, and print a row."""
    intervals = round(RUN_S / every_s)
    with stage(kind) as (server, clients, began):
        _, empty = server.used()
        joined = clients.ask(("join", count, stalled, 500, clients_are))
        time.sleep(0.5)
        before, full = server.used()
        clients.ask("begin")
        start = time.monotonic()
        server.line.send(("feed", every_s, intervals))
        while time.monotonic() - start < RUN_S + GIVE_UP_S:
            time.sleep(0.1)
            if clients.ask("arrived") >= count * intervals:
                break
        seconds = time.monotonic() - start
        seen = clients.ask("figures")
        cpu = server.used()[0] - before
        delays = sorted(now - began[seq] for seq, now in seen["arrived"])
    p50, p99, most = (1000 * percentile(delays, share) for share in (0.5, 0.99, 1))
    kilobytes = (full - empty) / (count + stalled) / 1024
    print(
        f"{', '.join(filter(None, (kind, clients_are))):<16} {count:>8} {stalled:>5} {1 / every_s:>3g} "
        f"{len(delays) / count / intervals:>8.1%} {p50:>8.0f} {p99:>8.0f} {most:>8.0f} "
        f"{cpu / seconds:>7.0%} {seen['cpu'] / seconds:>8.0%} "
        f"{seen['bytes'] / seconds / 1e6:>7.1f} {kilobytes:>8.1f} {joined:>6.1f}",
        flush=True,
    )


def broadcasts(scale: float) -> None:
    few, many = round(2000 * scale), round(5000 * scale)
    print(
        "                 clients  idle  /s  arrived   p50 ms   p99 ms   max ms  server  clients    MB/s  kB each join s"
    )
    broadcast("hub", few, 0.5, stalled=few // 100)
    broadcast("hub", few, 0.5, stalled=few // 100, clients_are="deflated")
    broadcast("hub", round(1000 * scale), 0.5, clients_are="own filters")
    broadcast("websockets", few, 0.5, stalled=few // 100)
    if importlib.util.find_spec("fastapi"):
        # None stalls here: it would wait for such a one for ever.
        broadcast("FastAPI", few, 0.5)
    else:
        print("FastAPI          left out: python -m pip install fastapi")
    broadcast("hub", many, 1.0)
    broadcast("websockets", many, 1.0)
    print(
        "idle: clients that never read; arrived: of what was to come until the end; server, clients: CPU of one core; kB each: the server's "
        "resident memory per connected client before anything is broadcast (without the kernel's own buffers; with own filters, the snapshots kept too)"
    )


def herd(scale: float) -> None:
    count = round(1000 * scale)
    with stage("hub") as (_, clients, _):
        seconds = clients.ask(("join", count, 0, count, ""))
    print(f"{count} clients at once, each with a day's snapshot: {seconds:.2f} s")


def pour(port: int, seconds: float, parent: Connection) -> None:
    """A publisher that sends a fixed number of records a second, as MQTT 3.1.1 without anything around it."""
    os.sched_setaffinity(0, {glasses.CORE})

    def packet(kind: int, body: bytes) -> bytes:
        size, length = bytearray(), len(body)
        while True:
            length, digit = divmod(length, 128)
            size.append(digit | 0x80 if length else digit)
            if not length:
                return bytes([kind]) + size + body

    topic = FACILITY_TOPIC.encode()
    mqtt = socket.create_connection(("127.0.0.1", port))
    mqtt.sendall(packet(0x10, b"\x00\x04MQTT\x04\x02" + struct.pack("!HH", 60, 5) + b"bench"))
    assert mqtt.recv(4)[:1] == b"\x20"
    packets = [
        packet(0x30, struct.pack("!H", len(topic)) + topic + schema.encode(record))
        for interval in range(
            KNOWN_INTERVALS, KNOWN_INTERVALS + RECORDS_A_SECOND * 2 // FACILITIES
        )
        for record in stations(interval)
    ]
    step, due, sent = RECORDS_A_SECOND // 50, time.monotonic(), 0
    for _ in range(int(seconds * 50)):
        at = sent % len(packets)
        mqtt.sendall(b"".join(packets[at : at + step]))
        sent += step
        due += 0.02
        time.sleep(max(0.0, due - time.monotonic()))
    parent.send((sent, due))
    parent.recv()


def records_in() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mqtt = SPAWN.Process(target=broker.run, args=("127.0.0.1", port), daemon=True)
    mqtt.start()
    try:
        deadline = time.monotonic() + 20
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert time.monotonic() < deadline, "the broker did not start"
            time.sleep(0.05)
        with stage("hub", port) as (server, clients, _):
            clients.ask(("join", 100, 0, 100, ""))
            time.sleep(0.5)
            before, cpu = server.ask("taken"), server.used()[0]
            publisher = Part(pour, port, RUN_S)
            sent, done = publisher.hear()
            last, taken = -1, 0
            while taken != last:
                last, now = taken, time.monotonic()
                time.sleep(0.2)
                taken = server.ask("taken") - before
            cpu = server.used()[0] - cpu
            publisher.line.send(None)
            publisher.end()
        print(
            f"records in, broker to hub with ticks and 100 clients: {sent} sent in {RUN_S:g} s, {taken} taken "
            f"({taken / sent:.1%}), the last {max(0.0, now - done):.1f} s after it was sent; {cpu / taken * 1e6:.0f} us of CPU each"
        )
    finally:
        mqtt.kill()
        mqtt.join()


class Sink:
    """An outlet without a socket."""

    congested, buffered = False, 0

    def put(self, *_: bytes) -> None:
        pass

    def abort(self) -> None:
        pass


def ticks() -> None:
    """What a tick costs when each facility was revised once, ten and a hundred times within it."""
    for times in (1, 10, 100):
        hub = filled()
        fanout = Fanout(hub)
        for _ in range(100):
            fanout.join(Client(Sink(), Form(), schema.Subscribe()))
        tick_s, take_s = [], []
        for number in range(20):
            interval = KNOWN_INTERVALS + number
            batches = [
                [replace(r, power=r.power + n) for r in stations(interval)]
                for n in range(times)
            ]
            gc.collect()
            began = time.perf_counter()
            for batch in batches:
                hub.facilities(batch)
            taken = time.perf_counter()
            fanout.tick(with_status=False)
            tick_s.append(time.perf_counter() - taken)
            take_s.append((taken - began) / times / FACILITIES)
        print(
            f"a tick after {times * FACILITIES:>6} records of {FACILITIES} facilities: {1000 * statistics.median(tick_s):5.2f} ms; "
            f"taking a record: {1e6 * statistics.median(take_s):.1f} us"
        )


def deflation() -> None:
    """What it costs to deflate frames once for all who want the same, and what that saves with each of them."""
    hub = filled()
    snapshot = [hub.initial_data(), hub.initial_market(), hub.initial_charts()]
    give(hub, KNOWN_INTERVALS)
    for name, frames in (("an interval", hub.tick()), ("a day's snapshot", snapshot)):
        encode_s, texts = timed(lambda frames=frames: [schema.encode(f) for f in frames])
        size = sum(map(len, texts))
        print(f"{name}: {size / 1024:.0f} kB, encoded in {1000 * encode_s:.2f} ms", end="")
        for level in (1, 6, 9):
            seconds, packed = timed(lambda level=level, texts=texts: [zlib.compress(t, level, -15) for t in texts])  # fmt: skip
            print(f"; level {level}: {sum(map(len, packed)) / size:.0%} of it in {1000 * seconds:.2f} ms more", end="")  # fmt: skip
        print()


def timed[T](run: Callable[[], T]) -> tuple[float, T]:
    """The median seconds of some runs, and what they gave."""
    spent = []
    for _ in range(21):
        began = time.perf_counter()
        given = run()
        spent.append(time.perf_counter() - began)
    return statistics.median(spent), given


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="share of the clients")
    parser.add_argument("--only", choices=("broadcasts", "herd", "records", "ticks", "deflate"))
    given = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < 6000 * given.scale:
        parser.error(f"only {most} files may be open here: give a smaller --scale")
    print(f"load before: {os.getloadavg()[0]:.2f}; {os.cpu_count()} cores")
    began = time.monotonic()
    parts = {
        "deflate": deflation,
        "ticks": ticks,
        "herd": lambda: herd(given.scale),
        "records": records_in,
        "broadcasts": lambda: broadcasts(given.scale),
    }
    for name, part in parts.items():
        if given.only in {None, name}:
            part()
    print(f"in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
