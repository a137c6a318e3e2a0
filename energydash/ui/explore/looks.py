"""How the lines of an answer look: colours that the whole page shares, and dashes where those are the same. Pure."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from energydash import nem, schema
from energydash.files.tracks import Question, Tracks
from energydash.ui.theme import Palette

Dash = Literal["solid", "dashed", "dotted", "dotdash"]

_DASHES: tuple[Dash, ...] = ("solid", "dashed", "dotted", "dotdash")


class Look(msgspec.Struct, frozen=True):
    """How a line is drawn, and what it is called."""

    label: str
    colour: str
    dash: Dash = "solid"


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What is drawn: an answer, how each of its lines and of its regions looks, and in what steps."""

    tracks: Tracks
    looks: tuple[Look, ...]
    scope_looks: tuple[Look, ...]
    metric: str
    every_ms: int


def of_scope(scope: str, palette: Palette) -> Look:
    """Give the look of a region or a network."""
    region = nem.REGION_BY_CODE.get(scope)
    return Look(region.label if region else scope, palette.regions.get(scope, palette.ink))


def of_question(
    question: Question,
    labels: dict[str, str],
    facilities: dict[str, schema.FacilityInfo],
    palette: Palette,
) -> list[Look]:
    """Give the look of each line: regions have their own colours, fuels and stations that of their fuel."""
    if question.kind == "region":
        return [of_scope(name, palette) for name in question.names]
    groups = [
        name if question.kind == "fuel" else _group(facilities.get(name)) for name in question.names
    ]  # fmt: skip
    colours = [palette.fuel(group) for group in groups]
    return [
        Look(labels.get(name, name), colour, dash)
        for name, colour, dash in zip(question.names, colours, dashes(colours), strict=True)
    ]


def dashes(colours: Sequence[str]) -> list[Dash]:
    """Give each line a dash that tells it from those before it of the same colour."""
    return [
        _DASHES[colours[:i].count(colour) % len(_DASHES)] for i, colour in enumerate(colours)
    ]


def _group(info: schema.FacilityInfo | None) -> str:
    return nem.fueltech(info.fueltech).group if info else "other"
