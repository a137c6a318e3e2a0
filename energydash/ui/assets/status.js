// The strip that says how fresh the page is. The text changes only when its meaning does, so that a screen
// reader is not told every second; the seconds stand in a part that is hidden from it.
const WORDS = {
  live: "Live",
  connecting: "Connecting to the stream server",
  server: "Stream server lost",
  broker: "MQTT broker disconnected",
  publisher: "Publisher silent",
  waiting: "Waiting for the first values",
  page: "Dashboard server lost",
}

function age(seconds) {
  if (seconds < 90) return `${Math.round(seconds)}\u202fs`
  if (seconds < 5400) return `${Math.round(seconds / 60)}\u202fmin`
  return `${Math.round(seconds / 3600)}\u202fh`
}

function remember(theme) {
  document.documentElement.dataset.theme = theme
  document.cookie = `energydash_theme=${theme};path=/;max-age=31536000;samesite=lax`
}

export function render({ model, el }) {
  el.innerHTML = `
    <div class="status">
      <span class="brand"><svg viewBox="0 0 16 16" aria-hidden="true"><path d="M9 0 2 9h5l-1 7 8-10H9z"/></svg>energydash</span>
      <span class="badge" data-testid="simulated" hidden>Simulated grid</span>
      <span class="road" role="status" data-testid="freshness"><i aria-hidden="true"></i><b></b> <span class="what"></span></span>
      <span class="age" aria-hidden="true" data-testid="age"></span>
      <span class="count" data-testid="reporting"></span>
      <button type="button" class="theme" data-testid="theme"></button>
    </div>`
  const $ = (name) => el.querySelector(name)
  let lost = false
  let got = performance.now()

  const paint = () => {
    const facts = model.facts
    const stage = lost ? "page" : facts.stage || "connecting"
    const road = $(".road")
    road.dataset.stage = stage
    $(".road b").textContent = WORDS[stage]
    const time = facts.time ? `${facts.time} NEM time (UTC+10)` : ""
    $(".what").textContent = stage === "live" ? time : time ? `\u2013 stale, values of ${time}; trying again` : ""
    $(".badge").hidden = !facts.simulated
    $(".count").textContent = facts.facilities ? `${facts.reporting} of ${facts.facilities} stations reporting` : ""
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

  $(".theme").addEventListener("click", () => {
    const next = model.theme === "dark" ? "light" : "dark"
    remember(next)
    model.theme = next
  })
  model.on("facts", () => { got = performance.now(); paint(); tick() })
  model.on("theme", showTheme)

  // Bokeh tells the document when its own connection goes and comes back.
  const watch = setInterval(() => {
    const doc = model.document ?? window.Bokeh?.documents?.[0]
    if (!doc) return
    clearInterval(watch)
    doc.on_event("connection_lost", () => { lost = true; paint() })
    doc.on_event("client_reconnected", () => { lost = false; paint() })
  }, 100)
  const clock = setInterval(tick, 1000)
  model.on("remove", () => { clearInterval(clock); clearInterval(watch) })

  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"
  const chosen = document.documentElement.dataset.theme || system
  if (model.theme !== chosen) model.theme = chosen
  paint(); tick(); showTheme()
}
