"""What a running `up` says of itself, to its own screen and to `energydash status`."""

import msgspec


class PartNow(msgspec.Struct, frozen=True, kw_only=True):
    """A part as it is: `memory_mb` is resident, `rate` records a second, `lag_s` seconds behind the grid's present."""

    name: str
    state: str
    pid: int | None = None
    port: int | None = None
    uptime_s: float | None = None
    restarts: int = 0
    memory_mb: float | None = None
    rate: float | None = None
    lag_s: float | None = None
    last_error: str = ""


class UpNow(msgspec.Struct, frozen=True, kw_only=True):
    """All of it; `ready` says that every part does its work."""

    pid: int
    uptime_s: float
    source: str
    simulated: bool
    page: str
    server: str
    mqtt: str
    ready: bool
    parts: tuple[PartNow, ...]
