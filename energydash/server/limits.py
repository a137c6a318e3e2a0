"""How many may come in, and how often they may ask: counted by address. Pure; the clock is handed in."""

import ipaddress
from collections import Counter

import msgspec

_BURST_S = 4.0
_ADDRESSES = 20_000
# A household has as many IPv6 addresses as it likes, within one network of this length.
_HOUSEHOLD_BITS = 64


class Bucket:
    """A token bucket: `rate` a second in the long run, `burst` at once."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at = now

    def take(self, now: float) -> bool:
        """Take one token, if there is one."""
        self._fill(now)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def is_full(self, now: float) -> bool:
        """Whether nothing was taken for so long that a new bucket would be the same."""
        self._fill(now)
        return self._tokens >= self._burst

    def wait_s(self) -> float:
        """Give the seconds until there is a token again."""
        return max(0.0, (1 - self._tokens) / self._rate)

    def _fill(self, now: float) -> None:
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Connections open at once, in all and from one address, and requests a second from one address; 0: no limit."""

    connections: int = 10_000
    connections_per_address: int = 256
    requests_per_address: float = 100.0


class Doorkeeper:
    """Counts who is in."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._inside: Counter[str] = Counter()
        self._asking: dict[str, Bucket] = {}
        self.turned_away: Counter[str] = Counter()

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return self._inside.total()

    def enter(self, address: str) -> bool:
        """Count a connection in; False, and not counted, where there are too many."""
        limits, who = self._limits, household(address)
        if limits.connections and self.connections >= limits.connections:
            self.turned_away["connections"] += 1
            return False
        most = limits.connections_per_address
        if most and self._inside[who] >= most:
            self.turned_away["connections_per_address"] += 1
            return False
        self._inside[who] += 1
        return True

    def leave(self, address: str) -> None:
        """Count a connection out."""
        who = household(address)
        self._inside[who] -= 1
        if self._inside[who] <= 0:
            del self._inside[who]

    def ask(self, address: str, now: float) -> float:
        """Give 0 where an address may ask now, else the seconds after which it may."""
        rate = self._limits.requests_per_address
        if not rate:
            return 0.0
        who = household(address)
        bucket = self._asking.get(who)
        if bucket is None:
            self._make_room(now)
            bucket = self._asking[who] = Bucket(rate, rate * _BURST_S, now)
        if bucket.take(now):
            return 0.0
        self.turned_away["requests_per_address"] += 1
        return bucket.wait_s()

    def _make_room(self, now: float) -> None:
        if len(self._asking) < _ADDRESSES:
            return
        idle = [who for who, bucket in self._asking.items() if bucket.is_full(now)]
        for who in idle or list(self._asking)[:1]:
            del self._asking[who]


def household(address: str) -> str:
    """Give what counts as one: an IPv4 address, or the network that an IPv6 address is in."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv4Address):
        return address
    if ip.ipv4_mapped:
        return str(ip.ipv4_mapped)
    return str(ipaddress.ip_network((ip, _HOUSEHOLD_BITS), strict=False))
