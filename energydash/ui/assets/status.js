// The strip that says how fresh the page is. A screen reader is told what is lost and when it is back; time and age, which move
// all the while, stand beside what it calls out.
const WORDS = {
  live: "Live",
  connecting: "Connecting to the stream server",
  server: "Stream server lost",
  broker: "MQTT broker disconnected",
  publisher: "Publisher silent",
  waiting: "Waiting for the first values",
  page: "Dashboard server lost",
}

// Who has measured the real grid.
const SOURCES = { nemweb: "AEMO", openelectricity: "OpenElectricity" }

// What a reader can do about it; all of it also ends by itself.
const HINTS = {
  connecting: "no answer yet: start `energydash serve` (or `energydash up`), or give its address with --backend",
  server: "is `energydash serve` running?",
  broker: "the server has lost its broker",
  publisher: "is `energydash publish` running?",
  waiting: "start `energydash publish` (or `energydash up`)",
  page: "is `energydash ui` running?",
}

function age(seconds) {
  if (seconds < 90) return `${Math.round(seconds)}\u202fs`
  if (seconds < 5400) return `${Math.round(seconds / 60)}\u202fmin`
  return `${Math.round(seconds / 3600)}\u202fh`
}

const RETRY_MS = 3000

// Bokeh tells the document when its connection goes and comes back. The document outlives each of its parts and takes no listener
// off: it has one, which tells whoever is there.
function hear(doc) {
  if (doc.is_heard) return
  doc.is_heard = true
  const tell = (lost) => window.dispatchEvent(new CustomEvent("energydash-line", { detail: { lost } }))
  doc.on_event("connection_lost", (_, event) => {
    tell(true)
    // What broke off amid a message: Bokeh would take the next connection's first words for the rest of it, and be stuck for ever.
    const line = event.connection.deref()
    if (line?._receiver) line._receiver = new line._receiver.constructor()
    // Bokeh itself has given up after half a minute; each of these tries that fails ends here again.
    if (event.timeout == null) setTimeout(() => event.reconnect(), RETRY_MS)
  })
  doc.on_event("client_reconnected", () => {
    // The page stands anew, and Panel holds single changes back only once it is told so: Bokeh would tell that one time alone.
    doc._notified_idle = false
    tell(false)
  })
}

function remember(what, choice) {
  document.documentElement.dataset[what] = choice
  document.cookie = `energydash_${what}=${choice};path=/;max-age=31536000;samesite=lax`
}

const HELP = `<button type="button" class="close" aria-label="Close">✕</button><h2 id="help-title">What is shown here</h2>
  <dl><dt>Time</dt><dd>NEM time, UTC+10 all year. An interval is five minutes; the newest one is shown once most stations have reported in it, and is shaded in the charts until then.</dd>
  <dt>Demand, MW</dt><dd>What the region's market has to supply in the interval, as the market operator gives it.</dd>
  <dt>Made, MW</dt><dd>What the stations generate; batteries and pumps store and take, and are left out.</dd>
  <dt>Price, $/MWh</dt><dd>The spot price of the interval, from −1,000 to 17,500. It is negative when more is offered than taken. The network's is the plain mean of its regions; Western Australia's market also pays for capacity, so that its price does not compare (*).</dd>
  <dt>Renewable, %</dt><dd>Renewable generation / total generation; batteries and pumps are left out of both.</dd>
  <dt>Intensity, t/MWh</dt><dd>Tonnes of CO₂ for each MWh generated in the interval.</dd>
  <dt>Imports, exports</dt><dd>Demand minus the supply of the region's own stations; rooftop solar and losses are in it.</dd>
  <dt>Flows, MW</dt><dd>An arrow is an interconnector, pointing where its power goes, the wider the more. Those of two regions share a label: the net of their flows, of what may flow that way. Orange with a rim: as much as may.</dd>
  <dt>Capacity factor</dt><dd>Power / registered capacity.</dd>
  <dt>Filters</dt><dd>A station counts under its main fuel. Sums under a filter are those of the stations that pass.</dd>
  <dt>Alerts</dt><dd>The bell lists where the day's prices passed a limit and which stations fell at once; it is there only when there is something. A click goes to that place and time.</dd>
  <dt>No data</dt><dd>A station without a value for half an hour is grey, which is not zero; at rest it is hollow.</dd></dl>
  <h3>Keys</h3>
  <dl><dt><kbd>/</kbd></dt><dd>search</dd><dt><kbd>←</kbd> <kbd>→</kbd></dt><dd>the previous or next station while one is open; the time while the slider has the focus</dd>
  <dt><kbd>Enter</kbd></dt><dd>open what is marked in the search or the table</dd><dt><kbd>Esc</kbd></dt><dd>close</dd><dt><kbd>?</kbd></dt><dd>this help</dd></dl>`

export function render({ model, el }) {
  el.innerHTML = `
    <div class="status">
      <h1 class="brand"><svg viewBox="0 0 16 16" aria-hidden="true"><path d="M9 0 2 9h5l-1 7 8-10H9z"/></svg>energydash</h1>
      <span class="badge" data-testid="simulated" hidden>Simulated grid</span>
      <span class="source" data-testid="source" hidden></span>
      <span class="road" role="status" aria-live="off" data-testid="freshness"><i aria-hidden="true"></i><span class="said" aria-live="polite" aria-atomic="true"><b></b> <span class="what"></span></span><span class="clock"></span></span>
      <span class="shown" data-testid="shown" hidden></span>
      <span class="age" aria-hidden="true" data-testid="age"></span>
      <span class="count" data-testid="reporting"></span>
      <span class="tools"><button type="button" class="copy" data-testid="copy" title="Copy a link to what is shown here">Copy link</button>
        <button type="button" class="help" data-testid="help" aria-label="Help: what the numbers mean, and the keys" title="Help ( ? )">?</button>
        <button type="button" class="colours" data-testid="colours" aria-label="Colours and patterns that colour-blind eyes tell apart" title="Colours and patterns that colour-blind eyes tell apart"><svg viewBox="0 0 18 14" aria-hidden="true"><circle cx="6" cy="7" r="5.2"/><circle cx="12" cy="7" r="5.2"/></svg></button>
        <button type="button" class="theme" data-testid="theme"></button></span>
      <div class="notice" role="alert" data-testid="notice" hidden><span></span><button type="button" aria-label="Close the notice">✕</button></div>
    </div>
    <dialog aria-labelledby="help-title" data-testid="help-text">${HELP}</dialog>`
  const $ = (name) => el.querySelector(name)
  let lost = false
  let got = performance.now()

  const put = (name, text) => { const part = $(name); if (part.textContent !== text) part.textContent = text }
  const paint = () => {
    const facts = model.facts
    const stage = lost ? "page" : facts.stage || "connecting"
    const road = $(".road")
    road.dataset.stage = stage
    put(".road b", WORDS[stage])
    const live = stage === "live"
    put(".clock", live && facts.time ? `${facts.time} NEM time (UTC+10)` : "")
    put(".what", live ? "" : facts.time ? `\u2013 stale, as of ${facts.time} NEM time; ${HINTS[stage]}` : `\u2013 ${HINTS[stage]}`)
    $(".badge").hidden = !facts.simulated
    $(".source").hidden = facts.simulated || !facts.source
    put(".source", facts.source ? `Data: ${SOURCES[facts.source] || facts.source}` : "")
    put(".count", facts.facilities ? `${facts.reporting} of ${facts.facilities} stations reporting` : "")
    $(".shown").hidden = !model.shown
    put(".shown", model.shown ? `Looking at ${model.shown}` : "")
    document.documentElement.dataset.stage = stage
  }
  const tick = () => {
    const facts = model.facts
    if (facts.age_s == null) { $(".age").textContent = ""; return }
    const seconds = facts.age_s + (performance.now() - got) / 1000
    $(".age").textContent = facts.interval_age_min != null
      ? `interval ${age(facts.interval_age_min * 60 + (performance.now() - got) / 1000)} old`
      : `updated ${age(seconds)} ago`
  }
  const showTheme = () => {
    const dark = model.theme === "dark"
    $(".theme").textContent = dark ? "Light" : "Dark"
    $(".theme").setAttribute("aria-label", dark ? "Switch to the light theme" : "Switch to the dark theme")
  }

  // Where the reader has chosen none, it is the system's.
  const page = document.documentElement.dataset
  const system = matchMedia("(prefers-color-scheme: dark)")
  const follow = () => {
    const theme = page.theme || (system.matches ? "dark" : "light")
    if (model.theme !== theme) model.theme = theme
  }
  system.addEventListener("change", follow)
  $(".theme").addEventListener("click", () => {
    const next = model.theme === "dark" ? "light" : "dark"
    remember("theme", next)
    model.theme = next
    model.send_msg({ do: "theme", theme: next })
  })
  const showColours = () => {
    document.documentElement.dataset.colours = model.colours
    $(".colours").setAttribute("aria-pressed", String(model.colours === "distinct"))
  }
  $(".colours").addEventListener("click", () => {
    const next = model.colours === "distinct" ? "usual" : "distinct"
    remember("colours", next)
    model.send_msg({ do: "colours", colours: next })
  })
  const dialog = $("dialog")
  const help = () => { dialog.showModal(); document.documentElement.dataset.dialog = "open" }
  dialog.addEventListener("close", () => { document.documentElement.dataset.dialog = "" })
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close() })
  $("dialog .close").addEventListener("click", () => dialog.close())
  $(".help").addEventListener("click", help)
  const keys = (event) => {
    if (event.key === "?" && !dialog.open && !event.composedPath()[0].matches?.("input, select, textarea")) help()
  }
  document.addEventListener("keydown", keys)
  const say = (text) => { $(".notice span").textContent = text; $(".notice").hidden = !text }
  $(".notice button").addEventListener("click", () => say(""))
  $(".copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(location.href)
      $(".copy").textContent = "Copied"
    } catch {
      say(`This browser does not let the page copy: ${location.href}`)
    }
    setTimeout(() => { $(".copy").textContent = "Copy link" }, 2000)
  })
  model.on("notice", () => say(model.notice))
  model.on("facts", () => { got = performance.now(); paint(); tick() })
  model.on("shown", paint)
  model.on("theme", () => {
    // Back may lead to an address that names one.
    if (page.theme || new URLSearchParams(location.search).get("theme") === model.theme) page.theme = model.theme
    showTheme()
  })
  model.on("colours", showColours)

  const line = ({ detail }) => { lost = detail.lost; paint() }
  window.addEventListener("energydash-line", line)
  const watch = setInterval(() => {
    const doc = model.document ?? window.Bokeh?.documents?.[0]
    if (!doc) return
    clearInterval(watch)
    hear(doc)
  }, 100)
  const clock = setInterval(tick, 1000)
  model.on("remove", () => { clearInterval(clock); clearInterval(watch); document.removeEventListener("keydown", keys); window.removeEventListener("energydash-line", line); system.removeEventListener("change", follow) })

  // A finger on a small screen scrolls the page, not the charts.
  if (matchMedia("(max-width: 620px)").matches) model.narrow = true
  follow()
  paint(); tick(); showTheme(); showColours(); say(model.notice)
}
