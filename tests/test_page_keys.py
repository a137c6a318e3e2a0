"""Keys that are the browser's or of what is seen, and nobody else's."""

import pytest
from browsing import LIMIT_S, Visit, needs_chromium

pytestmark = needs_chromium

# Whether the page left a key to the browser: its own listeners are asked before this one.
LEFT = """
addEventListener("keydown", (event) => { window.left = !event.defaultPrevented; event.preventDefault() })
"""


@pytest.fixture
def one(browser, grid):
    visit = Visit(browser, f"{grid.url}/?facility=BAYSW")
    visit.page.get_by_test_id("detail").wait_for()
    visit.read(LEFT)
    yield visit
    visit.close()


def leaves(one, key):
    one.read("window.left = null")
    one.page.keyboard.press(key)
    return one.read("left")


def test_a_key_with_a_modifier_is_the_browsers(one):
    one.read("grid.active().blur()")
    assert leaves(one, "Alt+ArrowLeft")
    assert leaves(one, "Control+ArrowRight")
    assert one.text("detail-name") == "Bayswater"
    assert not leaves(one, "ArrowRight")
    one.wait("grid.text('detail-name') !== 'Bayswater'", LIMIT_S)

    one.page.get_by_test_id("tab-map").focus()
    assert leaves(one, "Alt+ArrowRight")
    assert one.read("grid.focused()") == "tab-map"
    one.page.get_by_test_id("tab-table").click()
    row = one.page.locator("tbody tr[data-code]").first
    row.focus()
    code = one.read("grid.focusedRow()")
    assert leaves(one, "Alt+ArrowDown")
    assert one.read("grid.focusedRow()") == code
    assert not leaves(one, "ArrowDown")
    assert one.read("grid.focusedRow()") != code


def test_a_pane_that_is_not_seen_hears_no_keys(one):
    one.page.get_by_test_id("tab-explore").click()
    one.wait("document.documentElement.dataset.view === 'explore'", LIMIT_S)
    one.read("grid.active().blur()")

    assert leaves(one, "ArrowRight")
    assert "facility=BAYSW" in one.read("location.search")


def test_enter_opens_no_hit_of_another_text(one):
    page = one.page
    page.keyboard.press("Escape")
    page.get_by_test_id("detail").wait_for(state="hidden")
    page.get_by_test_id("search").fill("bay")
    page.get_by_role("option", name="Bayswater").wait_for()

    # Another text, whose own hits have not come: each opening is a step of the history.
    steps = one.read("history.length")
    one.read("grid.deep('search').value = 'hornsdale'")
    page.keyboard.press("Enter")
    page.get_by_test_id("search").fill("hornsdale")
    page.get_by_role("option", name="Hornsdale").first.wait_for()
    page.keyboard.press("Enter")
    one.wait("grid.text('detail-name').includes('Hornsdale')", LIMIT_S)
    one.wait("location.search.includes('facility=')", LIMIT_S)
    assert one.read("history.length") == steps + 1


def test_what_another_source_does_not_have_leaves_cards_and_filters(one):
    there = "[...grid.deep('card-NEM').parentNode.children].map((e) => e.dataset.testid)"
    model = "[...Bokeh.documents[0].all_models].find((m) => m.data?.{}).data"
    cards, filters = model.format("cards"), model.format("filters?.statuses")
    # In one look: the grid's next cards may be there before another.
    assert one.read(
        f"(() => {{ {cards}.cards = [...{cards}.cards, {{ ...{cards}.cards[0], scope: 'WEM' }}]; return {there}.includes('card-WEM') }})()"
    )
    # The grid's own next cards are without it.
    one.wait(f"!{there}.includes('card-WEM')", LIMIT_S)

    listed = "[...grid.deep('least').getRootNode().querySelectorAll('.statuses label')].map((e) => e.dataset.id)"
    was = one.read(listed)
    one.read(
        f"{filters}.filters = {{ ...{filters}.filters, statuses: [['mothballed', 'Mothballed', 3]] }}"
    )
    assert one.read(listed) == ["mothballed"] != was
