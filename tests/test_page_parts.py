"""The page's own parts by themselves, in a real browser and without a server: what they are told is what a test says."""

from contextlib import ExitStack

import pytest
from browsing import LIMIT_S, needs_chromium

from energydash.ui import bundled

pytestmark = needs_chromium

# A part in a shadow tree, as the page has it, with a model that a test sets.
STAGE = """
async ([source, css, values]) => {
  const part = await import("data:text/javascript;charset=utf-8," + encodeURIComponent(source))
  const host = document.body.appendChild(document.createElement("div"))
  const heard = {}
  window.sent = []
  window.model = { ...values, on: (name, act) => (heard[name] = act), send_msg: (message) => sent.push(message) }
  window.tell = (next) => { model.now = next; heard.now() }
  window.part = host.attachShadow({ mode: "open" })
  const style = document.createElement("style")
  style.textContent = css
  const el = document.createElement("div")
  window.part.append(style, el)
  part.render({ model, el })
}
"""


@pytest.fixture
def stage(browser):
    with ExitStack() as closing:

        def put(name, values, *, width=1440, source=None):
            context = browser.new_context(viewport={"width": width, "height": 844})
            closing.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(LIMIT_S * 1000)
            own = source or bundled.text(f"{name}.js")
            page.evaluate(STAGE, [own, bundled.text(f"{name}.css"), values])
            return page

        yield put


def alert(id_, when, **more):
    return {
        "id": id_, "kind": "price_above", "text": "SA: price above $300", "more": "$400.00", "when": when, "region": "SA1",
        "code": "", "moment": 1_772_323_200, **more,
    }  # fmt: skip


def focused(page):
    return page.evaluate("part.activeElement?.className")


def test_a_line_of_the_alerts_says_what_is_known_now(stage):
    page = stage("alerts", {"now": {"alerts": [alert("a", "14:00")], "news": []}})
    page.get_by_test_id("alerts").click()

    corrected = alert("a", "Sun 14:00", more="$412.00", moment=1_772_323_500)
    page.evaluate(
        "(now) => tell(now)", {"alerts": [alert("b", "00:05"), corrected], "news": []}
    )

    lines = page.get_by_test_id("alert-list").locator("li")
    assert lines.all_inner_texts()[1].split("\n") == [
        "Sun 14:00",
        "SA: price above $300",
        "$412.00",
    ]
    lines.nth(1).click()
    assert page.evaluate("sent.at(-1).moment") == corrected["moment"]


def test_whose_alert_goes_away_is_at_the_bell(stage):
    first, second = alert("a", "14:00"), alert("b", "14:05")
    page = stage("alerts", {"now": {"alerts": [second, first], "news": []}})
    page.get_by_test_id("alerts").click()
    page.get_by_test_id("alert-list").get_by_role("button").last.focus()
    assert focused(page) == "line"
    page.evaluate("(now) => tell(now)", {"alerts": [second], "news": []})
    assert focused(page) == "open"

    page.get_by_test_id("alert-list").get_by_role("button").press("Enter")
    assert focused(page) == "open"

    for name in ("Close this alert", "Show"):
        page.evaluate("(now) => tell(now)", {"alerts": [second], "news": [second]})
        page.get_by_test_id("toasts").get_by_role("button", name=name).press("Enter")
        assert page.evaluate("part.querySelectorAll('.toast').length") == 0
        assert focused(page) == "open"


def test_the_time_shown_is_no_live_region_that_talks_with_every_interval(stage):
    now = {"start": 0, "end": 86_400, "moment": 0, "text": "Sun 01 Mar 00:05 NEM time"}
    page = stage("timebar", {"now": now})

    assert page.get_by_test_id("moment").get_attribute("aria-live") == "off"
    assert page.get_by_test_id("slider").get_attribute("aria-valuetext") == now["text"]


def heights(page, css):
    return page.evaluate(
        "(css) => [...part.querySelectorAll(css)].map((e) => e.getBoundingClientRect().height)",
        css,
    )


def test_the_table_has_room_for_fingers_on_a_phone_and_keeps_what_is_in_view(stage):
    rows = [
        [f"S{n}", f"Station {n:03}", "NSW", "Wind", "wind", "operating"] for n in range(200)
    ]
    page = stage("table", {"rows": rows, "cells": {}, "chosen": ""}, width=390)
    # The frame that the page gives it.
    page.evaluate("part.querySelector('.scroll').style.height = '440px'")

    page.evaluate("part.querySelector('.scroll').scrollTop = 44 * 100")
    page.get_by_text("Station 100").wait_for()
    top = page.evaluate(
        "(() => { const [row, head] = ['[data-code=S100]', 'th'].map((css) => part.querySelector(css).getBoundingClientRect());"
        " return row.top - head.bottom })()"
    )
    assert top == pytest.approx(0, abs=1)
    assert min(heights(page, "tbody tr:not(.gap)")) >= 44
    assert min(heights(page, "th button")) >= 44


@pytest.mark.parametrize(
    ("name", "html", "css"),
    [
        ("toolbar", "<ul id='hits'><li><i></i><span>Bayswater</span></li></ul>", "#hits li"),
        (
            "choices",
            "<div class='choices__list--multiple'><div class='choices__item'>NEM<button class='choices__button'></button></div></div>",
            ".choices__button",
        ),
    ],
)
def test_what_is_found_and_what_is_chosen_have_room_for_fingers_on_a_phone(
    stage, name, html, css
):
    source = f"export const render = ({{ el }}) => {{ el.innerHTML = `{html}` }}"
    page = stage(name, {}, width=390, source=source)

    assert min(heights(page, css)) >= 44
