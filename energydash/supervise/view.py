"""How the running parts look: a table for a terminal, and words for durations. No I/O."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from energydash.plain import plain
from energydash.supervise.now import PartNow, UpNow

_COLOURS = {"ready": "green", "done": "dim", "waiting": "dim", "starting": "yellow", "restarting": "bold yellow", "failed": "bold red"}  # fmt: skip
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400
_COLUMNS = ("part", "state", "pid", "port", "uptime", "restarts", "memory", "rate", "lag", "last error")  # fmt: skip
_RIGHT = frozenset(_COLUMNS[2:9])
_LEFT_OUT_WHERE_NARROW = frozenset({"pid", "rate"})
_WIDE = 110


def duration(seconds: float | None) -> str:
    """Give a duration in its two largest units: `3 d 4 h`, `5 min 20 s`."""
    if seconds is None:
        return ""
    whole = max(int(seconds), 0)
    if whole < _MINUTE_S:
        return f"{whole} s"
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S} min {whole % _MINUTE_S} s"
    if whole < _DAY_S:
        return f"{whole // _HOUR_S} h {whole % _HOUR_S // _MINUTE_S} min"
    return f"{whole // _DAY_S} d {whole % _DAY_S // _HOUR_S} h"


def cells(part: PartNow) -> tuple[str, ...]:
    """Give a part's row."""
    return (
        part.name,
        part.state,
        "" if part.pid is None else str(part.pid),
        "" if part.port is None else str(part.port),
        duration(part.uptime_s),
        str(part.restarts) if part.restarts else "",
        "" if part.memory_mb is None else f"{part.memory_mb:.0f} MB",
        "" if part.rate is None else f"{part.rate:,.0f}/s",
        duration(part.lag_s),
        plain(part.last_error),
    )


def headline(now: UpNow) -> str:
    """Say what runs, and where."""
    grid = "simulated grid" if now.simulated else "live grid" if now.source != "replay" else "recording"  # fmt: skip
    state = "" if now.ready else ", not all of it ready"
    where = " · ".join(filter(None, (now.page, now.server, now.mqtt)))
    return f"{grid}, up {duration(now.uptime_s)}{state} · {where}"


def picture(now: UpNow, width: int, note: str = "") -> RenderableType:
    """Give the table for a terminal of so many columns; what a part said is text, never markup."""
    names = [name for name in _COLUMNS if width >= _WIDE or name not in _LEFT_OUT_WHERE_NARROW]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        wide = name == "last error"
        table.add_column(
            name,
            justify="right" if name in _RIGHT else "left",
            no_wrap=True,
            overflow="ellipsis",
            ratio=1 if wide else None,
            min_width=None if wide else len(name),
        )
    for part in now.parts:
        texts = dict(zip(_COLUMNS, cells(part), strict=True))
        style = _COLOURS.get(part.state, "")
        row = [Text(texts[name], style=style if name == "state" else "") for name in names]
        table.add_row(*row)
    lines: list[RenderableType] = [Text(headline(now), style="bold"), table]
    if note:
        lines.append(Text(note, style="dim"))
    return Group(*lines)
