"""An open explore tab without a browser: what it asks for as the stream goes on, turns to another round or begins."""

import inspect

import pytest
from bokeh.document import Document
from test_store import at, begin, charts, values

from energydash import schema
from energydash.ui.explore.desk import Desk
from energydash.ui.store import Store
from energydash.ui.theme import PALETTES


async def settle(desk, document, *, watch=False):
    """Do what the document has been asked to do, as a server would; its plots are not drawn."""
    if watch:
        await desk._watch()
    while due := [each for each in document.session_callbacks if not hasattr(each, "period")]:
        for each in due:
            document.remove_next_tick_callback(each)
            if each.callback == desk._draw_due:
                desk._due.clear()
                continue
            done = each.callback()
            if inspect.isawaitable(done):
                await done


@pytest.fixture
def store():
    one = Store()
    begin(one, "A")
    return one


@pytest.fixture
async def desk(store):
    document = Document()
    one = Desk(store, PALETTES["light"], None, document)
    one.settle = lambda **more: settle(one, document, **more)
    return one


def asked(desk):
    return desk._shown and (desk._shown.question.start, desk._shown.question.end)


async def test_the_last_hours_are_those_of_now_and_not_of_the_opening(store, desk):
    store.apply(charts([at(i) for i in range(5)], demand=1.0))
    desk._begin()
    await desk.settle()
    assert asked(desk) == (at(0), at(4))

    store.apply(charts([at(i) for i in range(5, 600)], demand=1.0))
    desk._choices.span.value = 1.0
    desk._ask()
    await desk.settle()

    assert asked(desk) == (at(600 - 288), at(599))


async def test_another_round_or_source_takes_the_old_plots_away(store, desk):
    store.apply(charts([at(i) for i in range(5)], demand=1.0))
    desk._begin()
    await desk.settle()
    await desk.settle(watch=True)
    assert asked(desk) == (at(0), at(4))

    store.apply(
        schema.InitialData(
            seq=1, source="another", simulated=False, facilities=(), values=values()
        )
    )
    await desk.settle(watch=True)
    assert asked(desk) is None
    assert not desk._area.visible

    store.apply(charts([at(i) for i in range(7, 9)], demand=1.0))
    await desk.settle(watch=True)
    assert asked(desk) == (at(7), at(8))
    assert desk._area.visible


async def test_a_view_that_opens_before_anything_has_come_fills_by_itself(store, desk):
    desk._begin()
    await desk.settle(watch=True)
    assert asked(desk) is None

    store.apply(charts([at(0), at(1)], demand=1.0))
    await desk.settle(watch=True)

    assert asked(desk) == (at(0), at(1))
