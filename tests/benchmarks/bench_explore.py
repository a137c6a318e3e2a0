"""How soon Explore shows a week: `python tests/benchmarks/bench_explore.py data/csv_output` (tables, CSV or Parquet).

For each question the time to read it from the tables and to draw its five plots, medians of five; the first round, in which HoloViews and
the disk's cache warm up, is not counted.
"""

import argparse
import statistics
import time
from datetime import timedelta
from pathlib import Path

import panel as pn
from bokeh.models import Range1d

from energydash import nem
from energydash.files.archive import Archive, Contents
from energydash.files.tracks import HOUR_MS, Kind, Question, Tracks
from energydash.ui.explore import looks
from energydash.ui.explore.plots import Plots
from energydash.ui.theme import PALETTES

RUNS = 5
FUELS = ("coal_black", "gas", "hydro", "wind", "solar")
PALETTE = PALETTES["light"]


def questions(contents: Contents) -> list[Question]:
    """A question of each kind, of five lines over the folder's last week."""
    largest = sorted(contents.facilities, key=lambda each: -(each.capacity or 0.0))[:5]
    asked: tuple[tuple[Kind, tuple[str, ...], str], ...] = (
        ("region", nem.NEM_REGIONS, "power"),
        ("region", nem.NEM_REGIONS, "price"),
        ("fuel", FUELS, "power"),
        ("fuel", FUELS, "emissions"),
        ("station", tuple(each.code for each in largest), "capacity_factor"),
    )
    start = contents.end - timedelta(days=7) + nem.INTERVAL
    return [
        Question(kind=kind, names=names, metric=metric, start=start, end=contents.end)
        for kind, names, metric in asked
    ]


def draw(question: Question, tracks: Tracks, panes: dict[str, pn.pane.HoloViews]) -> None:
    """Draw the five plots into panes of a document."""
    subject = looks.Subject(
        tracks=tracks,
        looks=tuple(looks.of_question(question, {}, {}, PALETTE)),
        scope_looks=tuple(looks.of_scope(track.name, PALETTE) for track in tracks.prices),
        metric=question.metric,
        every_ms=HOUR_MS // 2,
    )
    plots = Plots(PALETTE, Range1d(start=0, end=1), lambda _: None)
    for name, pane in panes.items():
        pane.object = (
            plots.heat(subject, 0) if name == "heat" else getattr(plots, name)(subject)
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    archive = Archive(parser.parse_args().folder)
    panes = {
        name: pn.pane.HoloViews(None, linked_axes=False)
        for name in ("over_time", "heat", "duration", "profile", "scatter")
    }
    root = pn.Column(*panes.values()).get_root()
    contents = archive.contents()
    print(f"{len(contents.facilities)} stations, {contents.start} to {contents.end}")
    for question in questions(contents):
        times = []
        for _ in range(RUNS + 1):
            began = time.perf_counter()
            tracks = archive.ask(question)
            read = time.perf_counter()
            draw(question, tracks, panes)
            times.append((read - began, time.perf_counter() - read))
        reading, drawing = (statistics.median(column) for column in zip(*times[1:], strict=True))  # fmt: skip
        print(f"{question.metric:16} of 5 {question.kind}s: {tracks.length} intervals, read {reading:.2f} s, drawn {drawing:.2f} s")  # fmt: skip
    print(f"{len(root.references())} models in the five plots")


if __name__ == "__main__":
    main()
