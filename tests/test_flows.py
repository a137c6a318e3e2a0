"""What flows between the regions, and the ground beneath: words, arrows, labels and shades, before they are drawn."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_store import SCOPES, at, begin

from energydash import nem, schema
from energydash.ui import flows, geography, numbers, shades
from energydash.ui import map as grid_map
from energydash.ui.address import SHADE_IDS
from energydash.ui.store import Flow, Row, Store
from energydash.ui.theme import PALETTES

LIGHT = PALETTES["light"]
ENDS = {
    name: nem.interconnector_ends(name)
    for name in ("N-Q-MNSP1", "NSW1-QLD1", "T-V-MNSP1", "V-S-MNSP1", "V-SA", "VIC1-NSW1")
}
megawatts = st.floats(-2000, 2000).map(lambda mw: round(mw, 2))


def flow(link, mw, least=-1078.0, most=600.0):
    return Flow(ends=ENDS[link], mw=mw, least=least, most=most)


def plain(text):
    return text.replace(numbers.THIN, " ")


@pytest.mark.parametrize(
    ("given_flow", "words"),
    [
        (flow("NSW1-QLD1", -310.0), "QLD to NSW, 310 MW of 1,078"),
        (flow("NSW1-QLD1", 310.0), "NSW to QLD, 310 MW of 600"),
        (flow("NSW1-QLD1", 599.8), "NSW to QLD, 600 MW of 600, at its limit"),
        (flow("NSW1-QLD1", -1078.0), "QLD to NSW, 1,078 MW of 1,078, at its limit"),
        (flow("V-SA", 0.3), "nothing between VIC and SA"),
        (flow("V-SA", 0.0, 0.0, 0.0), "nothing between VIC and SA"),
        (flow("T-V-MNSP1", 400.0, None, None), "TAS to VIC, 400 MW"),
        (flow("V-SA", None), "no data"),
        # A limit may force a flow the other way: it then bounds from the side that is not spoken of.
        (flow("V-SA", -50.0, -600.0, -50.0), "SA to VIC, 50 MW of 600, at its limit"),
        (flow("V-SA", 50.0, 50.0, 600.0), "VIC to SA, 50 MW of 600, at its limit"),
    ],
)
def test_a_flow_is_told_in_words(given_flow, words):
    assert plain(flows.words(given_flow)) == words


@given(st.dictionaries(st.sampled_from(sorted(ENDS)), megawatts, min_size=1))
def test_an_arrow_points_where_the_power_goes(now):
    known = {link: flow(link, mw, None, None) for link, mw in now.items()}
    for arrow in flows.arrows(known):
        first, second = (nem.REGION_BY_CODE[code] for code in ENDS[arrow.link])
        ahead = arrow.end[0] - arrow.start[0], arrow.end[1] - arrow.start[1]
        there = geography.mercator(second.longitude, second.latitude)
        here = geography.mercator(first.longitude, first.latitude)
        towards = ahead[0] * (there[0] - here[0]) + ahead[1] * (there[1] - here[1])

        assert math.copysign(1, towards) == math.copysign(1, now[arrow.link] or 0.0)
        assert math.isclose(math.cos(arrow.angle + math.pi / 2) * math.hypot(*ahead), ahead[0], abs_tol=1)  # fmt: skip


@given(megawatts, megawatts)
def test_more_power_is_no_thinner_arrow(one, other):
    less, more = sorted((abs(one), abs(other)))
    thin, wide = (flows.arrows({"V-SA": flow("V-SA", mw)})[0].width_px for mw in (less, more))

    assert thin <= wide


def test_interconnectors_of_the_same_regions_stand_apart_and_share_a_label():
    now = {
        "NSW1-QLD1": flow("NSW1-QLD1", -310.0),
        "N-Q-MNSP1": flow("N-Q-MNSP1", 60.0, -200.0, 100.0),
    }
    (label,) = flows.labels(now)
    places = {arrow.start for arrow in flows.arrows(now)}

    assert len(places) == 2
    assert plain(label.text) == "QLD to NSW\n250 MW of 1,278"
    assert not label.at_limit


@pytest.mark.parametrize(
    ("terranora", "text"),
    [
        (100.0, "QLD to NSW\n210 MW of 1,278\nTerranora at limit"),
        (-200.0, "QLD to NSW\n510 MW of 1,278\nTerranora at limit"),
        (310.0, "NSW\u2013QLD\nno net flow\nTerranora at limit"),
    ],
)
def test_a_label_names_who_is_at_its_limit(terranora, text):
    now = {
        "NSW1-QLD1": flow("NSW1-QLD1", -310.0),
        "N-Q-MNSP1": flow("N-Q-MNSP1", terranora, -200.0, 100.0),
    }
    (label,) = flows.labels(now)

    assert plain(label.text) == text
    assert label.at_limit


def test_the_only_interconnector_need_not_be_named():
    (label,) = flows.labels({"T-V-MNSP1": flow("T-V-MNSP1", 478.0, -478.0, 478.0)})

    assert plain(label.text) == "TAS to VIC\n478 MW of 478\nat limit"


def test_two_that_are_named_the_other_way_round_sum_up():
    there = Flow(ends=("SA1", "NSW1"), mw=100.0, least=-800.0, most=700.0)
    back = Flow(ends=("NSW1", "SA1"), mw=40.0, least=-150.0, most=150.0)
    (label,) = flows.labels({"SA1-NSW1": there, "N-S-MNSP1": back})

    assert plain(label.text) == "SA to NSW\n60 MW of 850"


def test_an_interconnector_that_is_newer_than_the_table_has_its_arrow_too():
    (arrow,) = flows.arrows({"SA1-NSW1": Flow(ends=("SA1", "NSW1"), mw=100.0)})

    assert arrow.title == "SA1-NSW1"
    assert arrow.flowing
    assert arrow.end[0] > arrow.start[0]


# --- the map -----------------------------------------------------------------------------------------


def frame(moments, mw, *, links=("NSW1-QLD1", "V-SA")):
    n = len(moments)
    return schema.ChartsUpdate(
        seq=1, times=tuple(moments),
        scopes=tuple(
            schema.ScopeSeries(
                scope=scope, price=(50.0,) * n, renewable_share=(0.4,) * n, net_import=(-310.0,) * n, reporting=(1,) * n
            )
            for scope in SCOPES
        ),
        links=tuple(
            schema.LinkSeries(link=link, ends=ENDS[link], flow=(mw,) * n, export_limit=(600.0,) * n)
            for link in links
        ),
    )  # fmt: skip


def drawn(store, i, drawing=None, shade=""):
    drawing = drawing or grid_map.Map(LIGHT)
    drawing.paint(LIGHT)
    drawing.shade(shade)
    drawing.regions(store, at(i))
    return drawing


def column(drawing, name):
    (source,) = {
        r.data_source
        for r in drawing.figure.renderers
        if name in getattr(r, "data_source", grid_map.ColumnDataSource()).data
    }
    return source.data[name]


def there(drawing):
    """What the arrows say that have a place on the map."""
    columns = drawing._arrows.source.data
    rows = zip(columns["words"], columns["x0"], columns["width_px"], strict=True)
    return [words for words, x, width in rows if not math.isnan(x) and width > 0]


def test_an_arrow_that_comes_or_goes_is_patched_into_its_own_place():
    """BokehJS may paint between new rows and their colours: a number of rows that changes is an error in the browser."""
    store = Store()
    begin(store, "A")
    store.apply(frame([at(0)], 310.0, links=()))
    store.apply(frame([at(1)], 310.0, links=ENDS))
    store.apply(frame([at(2)], 310.0, links=("V-SA",)))
    drawing = drawn(store, 0)
    before = drawing._arrows.source.data, drawing._arrows.labels.data

    seen = []
    for i in (0, 1, 2, 1, 0):
        drawn(store, i, drawing)
        texts = drawing._arrows.labels.data["label"]
        seen.append((len(there(drawing)), sum(bool(text) for text in texts)))

    assert seen == [(0, 0), (6, 4), (1, 1), (6, 4), (0, 0)]
    assert drawing._arrows.source.data is before[0]
    assert drawing._arrows.labels.data is before[1]


def test_an_interconnector_that_nobody_knew_gets_a_place_and_keeps_it():
    store = Store()
    begin(store, "A")
    drawing = grid_map.Map(LIGHT)
    unheard = {"SA1-NSW1": Flow(ends=("SA1", "NSW1"), mw=100.0)}
    drawing._arrows.draw(unheard, shaded=False)
    assert len(there(drawing)) == 1
    rows = drawing._arrows.source.data

    drawing._arrows.draw({}, shaded=False)
    assert there(drawing) == []
    drawing._arrows.draw(unheard, shaded=False)
    assert drawing._arrows.source.data is rows
    assert len(there(drawing)) == 1


def test_the_map_shows_what_flowed_at_the_moment_that_is_looked_at():
    store = Store()
    begin(store, "A")
    store.apply(frame([at(0)], 310.0))
    store.apply(frame([at(1)], -200.0))

    drawing = drawn(store, 1)
    now = there(drawing)
    drawn(store, 0, drawing)

    assert plain(now[0]) == "QLD to NSW, 200 MW"
    assert plain(there(drawing)[0]) == "NSW to QLD, 310 MW of 600"
    assert "Interconnectors: QNI (NSW1-QLD1): NSW to QLD" in drawing.figure.html_attributes["aria-label"]  # fmt: skip
    assert "at its limit" in drawing._legend.object


def test_a_change_of_flow_patches_and_moves_nothing_else():
    store = Store()
    begin(store, "A")
    store.apply(frame([at(0)], 310.0))
    drawing = drawn(store, 0)
    columns = drawing._arrows.source.data
    store.apply(frame([at(0)], 320.0))
    drawn(store, 0, drawing)

    assert drawing._arrows.source.data is columns
    assert plain(there(drawing)[0]) == "NSW to QLD, 320 MW of 600"


def test_a_source_without_interconnectors_shows_what_regions_import_and_says_how_it_knows():
    store = Store()
    begin(store, "A")
    store.apply(frame([at(0)], None, links=()))
    drawing = drawn(store, 0)

    assert there(drawing) == []
    assert "exports 310 MW" in plain(column(drawing, "text")[0])
    assert "demand \u2212 generation" in drawing._legend.object


def test_arrows_go_when_another_source_has_none():
    store = Store()
    begin(store, "A")
    store.apply(frame([at(0)], 310.0))
    drawing = drawn(store, 0)
    store.apply(frame([at(1)], None))
    drawn(store, 1, drawing)

    assert there(drawing) == []
    assert "Interconnectors" not in drawing.figure.html_attributes["aria-label"]


# --- shades ------------------------------------------------------------------------------------------


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("palette", PALETTES.values(), ids=PALETTES)
@pytest.mark.parametrize("shade", shades.SHADES.values(), ids=shades.SHADES)
def test_shades_go_one_way_in_lightness_and_carry_text(shade, palette):
    steps = shades.colours(shade, palette)
    ordered = steps if shade.below is None else steps[1:]
    lightness = [luminance(palette.land), *map(luminance, ordered)]

    assert lightness == sorted(lightness, reverse=not palette.dark)
    assert len(steps) == len(shade.names) == len(shade.steps) + 1
    assert min(contrast(palette.ink, each) for each in steps) >= 4.5


@pytest.mark.parametrize("palette", PALETTES.values(), ids=PALETTES)
def test_arrows_are_seen_on_land_and_sea_in_both_states(palette):
    for ground in (palette.land, palette.sea):
        for arrow in (palette.flow, palette.limit):
            assert contrast(arrow, ground) >= 4.5


@given(st.floats(-1000, 17_500), st.sampled_from(["price", "renewables"]))
def test_a_region_has_the_shade_that_the_legend_names(value, shade):
    measure = shades.SHADES[shade]
    row = Row(fuel={}, price=value, renewable_share=min(abs(value) / 1000, 1.0))
    step = measure.step(measure.value(row))

    assert shades.ground(shade, row, LIGHT) == shades.colours(measure, LIGHT)[step]
    assert step == 0 or measure.value(row) >= measure.steps[step - 1]


def test_nothing_is_shaded_where_nothing_is_known_or_asked_for():
    assert set(SHADE_IDS) == {"", *shades.SHADES}
    assert shades.ground("price", Row(fuel={}), LIGHT) == LIGHT.land
    assert shades.ground("", Row(fuel={}, price=1.0), LIGHT) == LIGHT.land
    assert shades.legend("", LIGHT) == ""


def test_the_states_take_the_shade_that_is_chosen_and_give_it_back():
    store = Store()
    begin(store, "A")
    store.apply(frame([at(0)], 310.0))
    drawing = drawn(store, 0, shade="renewables")
    states = drawing._ground._states.data
    shaded = dict(zip(states["region"], states["ground"], strict=True))
    named = drawing._shades.object
    drawn(store, 0, drawing, shade="")

    steps = shades.colours(shades.SHADES["renewables"], LIGHT)
    assert {shaded[code] for code in nem.NEM_REGIONS} == {steps[1]}
    assert shaded["NT"] == LIGHT.land
    assert all(colour in named for colour in steps)
    assert drawing._shades.object == ""
    assert set(states["ground"]) == {LIGHT.land}
