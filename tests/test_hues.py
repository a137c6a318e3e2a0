"""Fuels and regions told apart by every eye: differences of colours as colour-blind people see them.

The vision is simulated in linear light by the matrices of Machado, Oliveira & Fernandes, "A Physiologically-based Model for Simulation
of Color Vision Deficiency", IEEE TVCG 15 (2009), and by those of Brettel, Viénot & Mollon, "Computerized simulation of color
appearance for dichromats", JOSA A 14 (1997), both as coloraide has them; differences are CIEDE2000, of which 2.3 is just noticed.
"""

from itertools import combinations, pairwise

import msgspec
import pytest
from coloraide import Color
from test_store import at, facility

from energydash import nem
from energydash.ui import hues, marks
from energydash.ui.past import Reading
from energydash.ui.theme import PALETTES, css, palette

EYES = [
    None,
    *[(kind, method) for kind in ("protan", "deutan", "tritan") for method in ("brettel", "machado")],
]  # fmt: skip
STACKED = [group.id for group in nem.FUEL_GROUPS]
# A battery that charges lies on the pumps, below zero.
NEIGHBOURS = [*pairwise(STACKED), ("battery", "pumps")]
NAMES = [eye and "-".join(eye) for eye in EYES]

each_eye = pytest.mark.parametrize("eye", EYES, ids=NAMES)
each_mode = pytest.mark.parametrize("mode", ["light", "dark"])


def seen(colour, eye):
    plain = Color(colour)
    if eye is None:
        return plain
    kind, method = eye
    return plain.filter(kind, method=method, space="srgb-linear").clip("srgb")


def apart(colours, eye, pairs):
    looks = {name: seen(colour, eye) for name, colour in colours.items()}
    return {(a, b): looks[a].delta_e(looks[b], method="2000") for a, b in pairs}


@each_mode
@each_eye
def test_neighbours_in_the_stack_are_plainly_different_to_every_eye(mode, eye):
    found = apart(hues.DISTINCT[mode], eye, NEIGHBOURS)

    assert min(found.values()) > 15, min(found, key=found.get)


@each_mode
@each_eye
def test_no_two_fuels_look_alike_to_any_eye(mode, eye):
    found = apart(hues.DISTINCT[mode], eye, combinations(STACKED, 2))

    assert min(found.values()) > 8, min(found, key=found.get)


@each_mode
@each_eye
def test_no_two_prices_look_alike_to_any_eye(mode, eye):
    found = apart(hues.DISTINCT_REGIONS[mode], eye, combinations(nem.NEM_REGIONS, 2))

    assert min(found.values()) > 14, min(found, key=found.get)


def test_the_familiar_colours_would_not_pass():
    """So the measure measures something."""
    found = apart(hues.USUAL["light"], ("protan", "machado"), combinations(STACKED, 2))

    assert min(found.values()) < 4


@each_mode
def test_without_any_hue_neighbours_differ_by_their_pattern_and_plain_fuels_by_lightness(mode):
    assert all(hues.PATTERNS[one] != hues.PATTERNS[other] for one, other in NEIGHBOURS)
    plain = [group for group in STACKED if hues.PATTERNS[group] is None]
    lightness = sorted(
        Color(hues.DISTINCT[mode][group]).convert("lab-d65")["l"] for group in plain
    )
    assert min(b - a for a, b in pairwise(lightness)) > 8


@each_mode
def test_a_price_is_seen_on_its_ground(mode):
    for colour in hues.DISTINCT_REGIONS[mode].values():
        assert Color(colour).contrast(PALETTES[mode].panel, method="wcag21") >= 3


@each_mode
def test_a_hatch_is_seen_on_its_fuel(mode):
    for group, pattern in hues.PATTERNS.items():
        colour = hues.DISTINCT[mode][group]
        if pattern is not None:
            assert Color(colour).contrast(hues.hatch(colour), method="wcag21") >= 3
            assert hues.hatch(colour) in hues.swatch(pattern, colour)


@each_mode
def test_both_sets_know_every_fuel_and_region(mode):
    usual, distinct = palette(mode, "usual"), palette(mode, "distinct")

    assert usual == PALETTES[mode]
    for group in STACKED:
        assert usual.fuel(group) == hues.USUAL[mode][group]
        assert distinct.fuel(group) == hues.DISTINCT[mode][group]
        assert usual.pattern(group) is None
    assert distinct.fuel("unheard of") == distinct.fuel("other")
    assert set(distinct.regions) == set(usual.regions) == set(nem.NEM_REGIONS)
    assert distinct.pattern("wind") == "vertical_line"


@each_mode
@pytest.mark.parametrize("colours", hues.COLOURS)
@pytest.mark.parametrize(
    "power", [50.0, 0.0, -50.0, None], ids=["makes", "rests", "takes", "silent"]
)
def test_a_circle_is_told_from_land_and_sea(mode, colours, power):
    """Its line or its filling: either shows where it is and how large."""
    own = palette(mode, colours)
    for ground in (own.land, own.sea):
        for fuel in STACKED:
            mark = marks.mark(
                station(fuel), Reading(at(0), power, None) if power is not None else None, own, in_scope=True
            )  # fmt: skip
            line, filling = (
                Color(hues.mixed(ground, colour, alpha)).contrast(ground, method="wcag21")
                for colour, alpha in ((mark.line_color, mark.line_alpha), (mark.color, mark.fill_alpha))
            )  # fmt: skip
            assert mark.line_width >= 1
            assert max(line, filling) >= hues.LEAST_CONTRAST, fuel


def station(group):
    fueltech = next(tech.id for tech in nem.FUELTECHS.values() if tech.group == group)
    return msgspec.structs.replace(facility("A"), fueltech=fueltech)


@each_mode
def test_what_a_control_is_bounded_by_is_seen(mode):
    own = PALETTES[mode]
    for ground in (own.panel, own.page):
        assert Color(own.control).contrast(ground, method="wcag21") >= hues.LEAST_CONTRAST
    assert f"--edge:{own.control}" in css()
