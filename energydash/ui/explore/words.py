"""What the view says: the legend, what is shown, what to do where there is nothing. Pure; HTML with every name escaped."""

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

from energydash.files.tracks import HOUR_MS, METRICS, Question, Tracks
from energydash.ui import numbers
from energydash.ui.explore import shapes
from energydash.ui.explore.looks import Look

# CSS has no dash and dot in turn.
_CSS = {"solid": "solid", "dashed": "dashed", "dotted": "dotted", "dotdash": "double"}
_NO_FOLDER = (
    "The history that this dashboard has received. For stations, capacity factors and longer spans give it the "
    "folder of the tables: energydash ui --history data/csv_output"
)


def status(kind: str, text: str) -> str:
    """Give the line that says what goes on; `kind` is "busy", "fact" or "fault"."""
    role = "alert" if kind == "fault" else "status"
    return f'<p class="{kind}" role="{role}" data-testid="explore-{kind}">{escape(text)}</p>'


def legend(looks: Sequence[Look]) -> str:
    """Give the legend of all plots."""
    items = (
        f'<li><i style="border-top-style:{_CSS[look.dash]};border-top-color:{escape(look.colour)}"></i>{escape(look.label)}</li>'
        for look in looks
    )
    return f'<ul class="key" aria-label="Legend of all plots">{"".join(items)}</ul>'


def place(folder: str | None, source: str, *, simulated: bool) -> str:
    """Say where the numbers come from."""
    if folder is None:
        return _NO_FOLDER
    return f"From {folder}: {'simulated grid' if simulated else source}"


def shown(tracks: Tracks, every_ms: int, *, zoomed: bool) -> str:
    """Say which span is shown, and in what steps."""
    first, last = (
        datetime.fromtimestamp(ms / 1000, UTC)
        for ms in (shapes.begin(tracks), shapes.end(tracks) - tracks.step_ms)
    )
    form = "%a %d %b %Y %H:%M"
    steps = _length(max(every_ms, tracks.step_ms))
    extent = "zoomed to " if zoomed else ""
    intervals = numbers.grouped(tracks.length)
    return f"{extent}{first:{form}} to {last:{form}} NEM time (UTC+10), {intervals} intervals in steps of {steps}"


def _length(ms: int) -> str:
    if ms < HOUR_MS:
        return f"{ms * 60 // HOUR_MS} min"
    return f"{ms // HOUR_MS} h"


def about(question: Question, tracks: Tracks, every_ms: int, origin: str) -> list[str]:
    """Give the facts for the first line of a CSV."""
    metric = METRICS[question.metric]
    scope = [f"in: {question.scope}"] if question.kind == "fuel" else []
    return [
        f"energydash: {metric.label} ({metric.unit}), mean of each step", f"{question.kind}s: {' '.join(question.names)}",
        *scope, shown(tracks, every_ms, zoomed=False), "zone: NEM time, UTC+10 all year", origin,
    ]  # fmt: skip
