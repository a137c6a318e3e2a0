"""A headless Chromium that remembers every request, console message and frame of the pages it opens."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
# Each context gets a window whose address bar is made of pages of its own, unless told otherwise: a quarter of what a visit costs.
# The last such list counts, so it also names what Playwright turns off because it would ask other machines or hold back a frame.
_WITHOUT = (
    "WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "AimEnabled", "HttpsFirstBalancedModeAutoEnable", "HttpsUpgrades", "LensOverlay", "MediaRouter",
    "NetworkTimeServiceQuerying", "OptimizationHints", "PaintHolding", "PreconnectToSearch", "ThirdPartyStoragePartitioning",
)  # fmt: skip
FLAGS = (
    f"--disable-features={','.join(_WITHOUT)}",
    "--no-sandbox",
    "--disable-gpu",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
needs_chromium = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
    # The first test of a file waits for what all of them share, and each step may take a while.
    pytest.mark.timeout(600),
]

LIMIT_S = 90
"""How long to wait for what a page does at once: a limit costs nothing while it holds, and a busy machine is slow."""

# Reads the page's models: `of` gives the source of a figure's glyph whose data has a column.
READ = """
(() => {
  const figures = () => [...Bokeh.documents[0].all_models].filter((m) => m.type === "Figure")
  const figure = (id) => figures().find((f) => f.html_attributes["data-testid"] === id)
  const column = (source, name) => source.data instanceof Map ? source.data.get(name) : source.data[name]
  const source = (id, name) => figure(id).renderers.map((r) => r.data_source).find((s) => s && column(s, name))
  const range = (r) => [r.start, r.end]
  window.grid = {
    column: (id, name, having = name) => [...column(source(id, having), name)],
    ground: (id) => figure(id).background_fill_color?.value ?? figure(id).background_fill_color,
    hatches: (id) => figure(id).renderers.map((r) => r.glyph.hatch_pattern?.value),
    selected: (id, name) => [...source(id, name).selected.indices],
    ranges: (id) => [...range(figure(id).x_range), ...range(figure(id).y_range)],
    // Elements live in shadow trees: this finds one wherever it is.
    deep: (id) => {
      const look = (root) => root.querySelector(`[data-testid="${id}"]`)
        ?? [...root.querySelectorAll("*")].filter((e) => e.shadowRoot).map((e) => look(e.shadowRoot)).find(Boolean)
      return look(document)
    },
    // What a finger would hit in the middle of an element: true where that is the element itself.
    reachable: (id) => {
      const own = grid.deep(id), box = own.getBoundingClientRect()
      const [x, y] = [box.left + box.width / 2, box.top + box.height / 2]
      let hit = document.elementFromPoint(x, y)
      while (hit?.shadowRoot && hit.shadowRoot.elementFromPoint(x, y) !== hit) {
        const inner = hit.shadowRoot.elementFromPoint(x, y)
        if (!inner) break
        hit = inner
      }
      return own === hit || own.contains(hit)
    },
    text: (id) => grid.deep(id)?.innerText ?? "",
    value: (id) => grid.deep(id)?.value,
    pressed: (id) => grid.deep(id)?.getAttribute("aria-pressed"),
    active: () => { let at = document.activeElement; while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement; return at },
    focused: () => grid.active()?.dataset.testid,
    focusedRow: () => grid.active()?.dataset.code,
    view: (id) => Bokeh.index.find_one(figure(id)),
    // Where the page says that a chart is, in the chart's own milliseconds.
    moment: (id) => figure(id).center.find((r) => r.type === "Span" && r.visible)?.location,
    // A point at which several circles lie.
    crowd: () => {
      const [x, y, size] = ["x", "y", "size"].map((name) => grid.column("map", name, "size"))
      const view = grid.view("map")
      const [left, top] = [view.frame.x_scale, view.frame.y_scale]
      const places = x.map((_, i) => [left.compute(x[i]), top.compute(y[i]), size[i] / 2])
      const hits = places.map(([a, b]) => places.filter(([c, d, r]) => Math.hypot(a - c, b - d) < r - 1).length)
      const i = hits.indexOf(Math.max(...hits))
      const box = view.el.getBoundingClientRect()
      return [box.left + places[i][0], box.top + places[i][1]]
    },
    wheel: (id) => figure(id).toolbar.active_scroll,
    ground: (id) => figure(id).background_fill_color,
    models: () => [...Bokeh.documents[0].all_models].length,
    marker: (least) => {
      const [x, y, size] = ["x", "y", "size"].map((name) => grid.column("map", name, "size"))
      const view = Bokeh.index.find_one(figure("map"))
      const i = size.findIndex((diameter) => diameter > least)
      const box = view.el.getBoundingClientRect()
      const frame = view.frame
      return [box.left + frame.x_scale.compute(x[i]), box.top + frame.y_scale.compute(y[i])]
    },
  }
})()
"""


# Notes when the map has ink on it and the cards have numbers, and when the browser has put both on the glass: at first as the
# document has them (`painted`), then as the live page draws them (`live`).
PAINT = """
(() => {
  const inside = (root) => [...root.querySelectorAll("*")].filter((e) => e.shadowRoot).map((e) => e.shadowRoot)
  const deep = (root, css) => [...root.querySelectorAll(css), ...inside(root).flatMap((each) => deep(each, css))]
  const inked = (canvas) => canvas.width > 0 && canvas.height > 0
    && canvas.getContext("2d").getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data[3] > 0
  const drawn = () => {
    const models = window.Bokeh?.documents?.[0]?.all_models
    const figure = models && [...models].find((m) => m.html_attributes?.["data-testid"] === "map")
    const view = figure && Bokeh.index.find_one(figure)
    return view && deep(view.shadow_el ?? view.el, "canvas").some(inked)
  }
  const told = (cards) => cards.some((card) => /[0-9]/.test(card.innerText))
  const first = (name, css) => {
    const part = document.querySelector(`[data-first=${name}]`)
    return part ? deep(part.shadowRoot, css) : []
  }
  const live = () => told(deep(document, '[data-testid="card-NEM"]')) && drawn()
  const early = () => told(first("cards", ".scopes button")) && first("where", "canvas").some(inked)
  const note = (name) => requestAnimationFrame(() => requestAnimationFrame(() => { window[name] ??= performance.now() }))
  let seen = false
  const look = () => {
    const stands = document.body && live()
    if (!seen && document.body && (stands || early())) { seen = true; note("painted") }
    if (stands) note("live")
    else requestAnimationFrame(look)
  }
  requestAnimationFrame(look)
})()
"""


def first_view(context, url):
    """Open the page; give seconds until its document was there, until map and numbers were painted and until they were live."""
    page = context.new_page()
    page.add_init_script(PAINT)
    page.goto(url)
    page.wait_for_function("window.painted && window.live", timeout=LIMIT_S * 1000)
    seen = page.evaluate(
        """(() => { const [way] = performance.getEntriesByType("navigation"); return {
          answered: way.responseEnd / 1000, painted: window.painted / 1000, live: window.live / 1000,
          models: [...Bokeh.documents[0].all_models].length, bytes: way.decodedBodySize,
        } })()"""
    )
    page.close()
    return seen


def seriously_wrong(page):
    """What axe finds on the page as it is now: each rule with the elements that break it."""
    from axe_playwright_python.sync_playwright import Axe  # noqa: PLC0415

    return [
        (each["id"], [node["html"][:200] for node in each["nodes"]])
        for each in Axe().run(page).response["violations"]
        if each["impact"] in {"serious", "critical"}
    ]


def lives(page):
    """Wait until the live page stands and has the newest values, and let `grid` read it."""
    page.wait_for_function(
        "window.Bokeh?.documents?.[0]?.all_models"
        " && document.documentElement.dataset.stage === 'live' && !document.querySelector('[data-first]')",
        timeout=LIMIT_S * 1000,
    )
    page.evaluate(READ)


class Visit:
    """One browser context with one page, and all that it did."""

    def __init__(self, browser, url, *, scheme="light", width=1440, height=900, touch=False):
        self.url = url
        self.requests = []
        self.refused = []
        self.complaints = []
        self.frames = []
        self.context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            has_touch=touch,
            is_mobile=touch,
            # What is half faded in has no contrast yet.
            reduced_motion="reduce",
        )
        # What is drawn in a second elsewhere can take half a minute beside other work, and a click waits for it.
        self.context.set_default_timeout(LIMIT_S * 1000)
        self.page = self.context.new_page()
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("response", self._response)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("websocket", self._websocket)
        self.page.goto(url)
        lives(self.page)
        # Each part is rendered by a module of its own, and none waits for another.
        self.page.wait_for_function(
            "(parts) => grid.column('stack', 'demand').length > 0 && parts.every((id) => grid.deep(id))",
            arg=["card-NEM", "total", "count", "moment", "today-title", "toasts", "detail"],
        )

    def _response(self, response):
        if response.status >= 400:
            self.refused.append((response.status, response.url))

    def _console(self, message):
        if message.type == "error":
            self.complaints.append(message.text)

    def _websocket(self, socket):
        self.requests.append(socket.url)
        socket.on("framereceived", lambda frame: self.frames.append(frame))  # noqa: PLW0108

    @property
    def foreign(self):
        """What went elsewhere than to the page's own server."""
        own = urlsplit(self.url).netloc
        return [
            url
            for url in self.requests
            if urlsplit(url).scheme not in {"data", "blob"} and urlsplit(url).netloc != own
        ]

    def read(self, expression):
        return self.page.evaluate(expression)

    def wait(self, expression, limit_s, argument=None):
        self.page.wait_for_function(
            expression, arg=argument, timeout=limit_s * 1000, polling=50
        )

    def settled(self, expression):
        """Read a place on the screen once it no longer moves: at first the page is still being laid out."""
        self.read("delete window.place")
        self.page.wait_for_function(
            f"() => {{ const now = JSON.stringify({expression}), still = window.place === now;"
            " window.place = now; return still }",
            timeout=LIMIT_S * 1000,
            polling=250,
        )
        return self.read("JSON.parse(window.place)")

    def text(self, testid):
        return self.page.get_by_test_id(testid).first.inner_text()

    def stage(self):
        return self.read("document.documentElement.dataset.stage")

    def moves(self, intervals=2, limit_s=60):
        """Wait until so many intervals have come."""
        newest = self.read("Math.max(...grid.column('stack', 't'))")
        self.wait(
            "(until) => Math.max(...grid.column('stack', 't')) >= until",
            limit_s,
            newest + intervals * 300_000,
        )

    def close(self):
        self.context.close()


@contextmanager
def chromium() -> Iterator[object]:
    """A browser; Playwright comes with the test extra."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()
