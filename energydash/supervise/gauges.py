"""What can be measured of the parts from outside: their memory, and what the server says of the stream."""

import json
import time
from datetime import datetime
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import msgspec
import psutil

from energydash.config import Secret

_ANSWER_WITHIN_S = 2.0
_ANSWER_BYTES = 1_000_000
_MB = 1e6

# What `http_proxy` names knows nothing of this machine's own ports.
_opener = build_opener(ProxyHandler({}))


class Health(msgspec.Struct, frozen=True):
    """Whether the server has a grid to show, and up to when."""

    ready: bool
    event_time: datetime | None


class Server:
    """The server as its own addresses tell; every call blocks for two seconds at most."""

    def __init__(self, url: str, token: Secret | None) -> None:
        self._url = url
        self._token = token
        self._before: tuple[float, float] | None = None
        self.rate: float | None = None

    def answers(self) -> bool:
        """Whether it speaks HTTP at all; 503 is an answer."""
        return self._get("/health") is not None

    def health(self) -> Health | None:
        """Give its health; None where it does not answer as it should."""
        try:
            answer: Any = json.loads(self._get("/health") or b"")
            moment = answer["event_time"]
            return Health(
                bool(answer["ready"]), datetime.fromisoformat(moment) if moment else None
            )
        except (ValueError, TypeError, KeyError):
            return None

    def measure(self) -> None:
        """Take the rate of records since the last call."""
        total = _records(self._get("/metrics") or b"")
        now = time.monotonic()
        before, self._before = self._before, None if total is None else (now, total)
        if before is None or total is None or total < before[1]:
            self.rate = None
        elif now > before[0]:
            self.rate = (total - before[1]) / (now - before[0])

    def _get(self, path: str) -> bytes | None:
        headers = {"Authorization": f"Bearer {self._token.reveal()}"} if self._token else {}
        request = Request(self._url + path, headers=headers)  # noqa: S310 (our own http address)
        try:
            return _body(request)
        except (OSError, HTTPException):
            return None


def _body(request: Request) -> bytes:
    try:
        with _opener.open(request, timeout=_ANSWER_WITHIN_S) as answer:
            content: bytes = answer.read(_ANSWER_BYTES)
            return content
    except HTTPError as refusal:
        with refusal:
            return refusal.read(_ANSWER_BYTES)


def _records(metrics: bytes) -> float | None:
    """Sum the records that the server took, of Prometheus' text form."""
    total = None
    for line in metrics.decode(errors="replace").splitlines():
        if line.startswith("energydash_records_total{") and '"taken"' in line:
            try:
                total = (total or 0.0) + float(line.rpartition(" ")[2])
            except ValueError:
                return None
    return total


def memory_mb(pid: int | None) -> float | None:
    """Give a process's resident memory."""
    if pid is None:
        return None
    try:
        return round(psutil.Process(pid).memory_info().rss / _MB, 1)
    except psutil.Error:
        return None


def listens_on(pid: int | None, port: int) -> bool:
    """Whether a process is the one that listens on a port; where the system does not tell, it is taken to be."""
    if pid is None:
        return False
    try:
        sockets = psutil.Process(pid).net_connections("tcp")
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True
    return any(
        each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in sockets
    )


def created(pid: int) -> float | None:
    """Give when a process began: with the pid it names one process for ever, since pids come again."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return None
