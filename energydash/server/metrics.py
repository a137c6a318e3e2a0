"""The server's measures in the Prometheus text form, read when they are asked for."""

import math
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from energydash import __version__
from energydash.server.fanout import Client, Fanout
from energydash.server.figures import Delays
from energydash.server.limits import Doorkeeper

MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class Metrics:
    """The measures of one server; a registry of its own, so that several fit into one process."""

    def __init__(self, fanout: Fanout, doorkeeper: Doorkeeper | None) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Measures(fanout, doorkeeper))
        ProcessCollector(registry=self._registry)

    def text(self) -> str:
        """Give all of them as they are now."""
        return generate_latest(self._registry).decode()


class _Measures(Collector):
    def __init__(self, fanout: Fanout, doorkeeper: Doorkeeper | None) -> None:
        self._fanout = fanout
        self._doorkeeper = doorkeeper

    def collect(self) -> Iterable[Metric]:
        yield _labelled("energydash_build_info", "The version that runs.", {(__version__,): 1}, "version")  # fmt: skip
        yield from self._road()
        yield from self._ticks()
        yield from self._clients()
        if self._doorkeeper is not None:
            yield from _door(self._doorkeeper)

    def _road(self) -> Iterator[Metric]:
        hub = self._fanout.hub
        records = CounterMetricFamily(
            "energydash_records",
            "Records by kind and by what became of them: taken, or why not; too_many of the taken had no room.",
            labels=["kind", "result"],
        )
        for key, count in sorted(hub.counts.items()):
            records.add_metric(key, count)
        yield records
        yield _gauge("energydash_broker_connected", "Whether the MQTT broker is connected.", hub.connected)  # fmt: skip
        publisher = hub.publisher
        yield _labelled(
            "energydash_publisher_state",
            "Whether news come (live), none came for too long (stale; a repetition is none) or nothing came yet (waiting): 1 for what is so.",
            {(state,): int(state == publisher) for state in ("live", "stale", "waiting")},
            "state",
        )
        if hub.event_time is not None:
            yield _gauge("energydash_event_time_seconds", "The newest interval, since the Unix epoch.", hub.event_time.timestamp())  # fmt: skip
        yield _gauge("energydash_facilities", "Facilities in the catalogue.", len(hub.info))

    def _ticks(self) -> Iterator[Metric]:
        figures = self._fanout.figures
        yield _counter("energydash_ticks", "Times that what had changed was looked for.", figures.ticks)  # fmt: skip
        yield _counter("energydash_ticks_late", "Ticks that began late, because the one before took longer than its time.", figures.ticks_late)  # fmt: skip
        yield _gauge("energydash_seq", "The number of the newest tick that had something to tell.", self._fanout.hub.seq)  # fmt: skip
        yield _histogram(
            "energydash_arrival_to_send_seconds",
            "For each tick that carried records: from the arrival of its first one until all clients were written to.",
            figures.delays,
        )
        yield _histogram(
            "energydash_event_lag_seconds",
            "For each tick that carried new values: from the label of the newest interval in it to the sending, in wall time. "
            "It means something only where the stream goes at the pace of the grid: in a replay, event time is another time.",
            figures.lags,
        )

    def _clients(self) -> Iterator[Metric]:
        fanout, figures = self._fanout, self._fanout.figures
        clients = fanout.clients
        yield _gauge("energydash_clients", "WebSocket clients.", len(clients))
        yield _gauge("energydash_views", "Different filters and channels among them.", fanout.wishes)  # fmt: skip
        yield _gauge("energydash_clients_behind", "Clients that are slow to read, and wait to be brought up to date.", _behind(clients))  # fmt: skip
        yield _gauge("energydash_queue_bytes", "Bytes that wait in this process for clients to take them.", sum(c.outlet.buffered for c in clients))  # fmt: skip
        yield _counter("energydash_joins", "Clients that have come.", figures.joins)
        yield _counter("energydash_resumes", "Times that a client was told what it had missed, not everything.", figures.resumed)  # fmt: skip
        yield _counter("energydash_folds", "Times that a slow client was brought up to date in one step, the steps between dropped.", figures.folded)  # fmt: skip
        yield _counter("energydash_sent_bytes", "Bytes handed to clients' sockets.", figures.bytes_sent)  # fmt: skip
        yield _counted("energydash_clients_closed", "Clients hung up on, by cause.", figures.closed, "cause")  # fmt: skip


def _door(doorkeeper: Doorkeeper) -> Iterator[Metric]:
    yield _gauge("energydash_connections", "Open connections, HTTP and WebSocket.", doorkeeper.connections)  # fmt: skip
    yield _counted("energydash_turned_away", "Connections and requests refused, by the limit that they met.", doorkeeper.turned_away, "limit")  # fmt: skip


def _behind(clients: Iterable[Client]) -> int:
    return sum(client.behind_since is not None for client in clients)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)


def _counted(name: str, text: str, counts: Mapping[str, int], label: str) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for cause, count in sorted(counts.items()):
        family.add_metric([cause], count)
    return family


def _labelled(name: str, text: str, values: Mapping[tuple[str], int], label: str) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def _histogram(name: str, text: str, delays: Delays) -> Metric:
    so_far = 0
    buckets = []
    for bound, count in zip((*delays.bounds_s, math.inf), delays.counts, strict=True):
        so_far += count
        buckets.append(("+Inf" if math.isinf(bound) else str(bound), so_far))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=delays.total_s)
