// One station: what it is, what it does now, its day. It opens over the charts; Esc closes it, and focus goes back.
const WIDTH = 400
const HEIGHT = 130
const LEFT = 44
const BOTTOM = 16

const deepActive = () => {
  let at = document.activeElement
  while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement
  return at
}

// Round numbers, two to four, for a scale's marks.
const marks = (low, high) => {
  const least = (high - low) / 3
  const ten = 10 ** Math.floor(Math.log10(least))
  const step = [1, 2, 5, 10].map((n) => n * ten).find((each) => each >= least)
  const from = Math.ceil(low / step)
  return Array.from({ length: Math.floor(high / step) - from + 1 }, (_, i) => (from + i) * step)
}

export function render({ model, el }) {
  el.innerHTML = `
    <section class="pane" role="region" aria-labelledby="name" data-testid="detail" hidden>
      <header>
        <i></i><h2 id="name" tabindex="-1" data-testid="detail-name"></h2>
        <button type="button" class="prev" aria-label="Previous station" title="Previous station (left arrow)">‹</button>
        <button type="button" class="next" aria-label="Next station" title="Next station (right arrow)">›</button>
        <button type="button" class="close" aria-label="Close" title="Close (Esc)" data-testid="close">✕</button>
      </header>
      <p class="now"><b data-testid="detail-power"></b> <span data-testid="detail-factor"></span><small class="when" data-testid="detail-when"></small></p>
      <div class="gauge" aria-hidden="true"><s></s></div>
      <div class="others" hidden></div>
      <figure role="img" data-testid="detail-day"><figcaption></figcaption>
        <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" aria-hidden="true"><path class="grid"/><path class="area"/><path class="line"/><path class="at"/></svg>
        <div class="ys" aria-hidden="true"></div><div class="xs" aria-hidden="true"></div></figure>
      <dl></dl>
      <table><caption>Units</caption><thead><tr><th scope="col">Code</th><th scope="col">Fuel</th><th scope="col">Status</th><th scope="col">Capacity</th></tr></thead><tbody></tbody></table>
      <p class="actions"><a class="link" data-testid="link">Link to this station</a><button type="button" class="csv" data-testid="detail-csv">CSV of its day</button></p>
    </section>`
  const $ = (name) => el.querySelector(name)
  const pane = $(".pane")
  const say = (what) => model.send_msg(what)
  let opener = null
  let shown = ""

  const put = (name, text) => { const part = $(name); if (part.textContent !== text) part.textContent = text }
  const facts = (card) => {
    const list = $("dl")
    if (list.children.length !== card.facts.length) {
      list.replaceChildren(...card.facts.map(() => {
        const line = document.createElement("div")
        line.append(document.createElement("dt"), document.createElement("dd"))
        return line
      }))
    }
    card.facts.forEach((fact, i) => {
      const [term, text] = list.children[i].children
      term.textContent = fact.label
      text.dataset.testid = `detail-${fact.id}`
      if (text.textContent !== fact.text) text.textContent = fact.text
    })
  }
  const units = (card) => {
    $("tbody").replaceChildren(...card.units.map((unit) => {
      const row = document.createElement("tr")
      row.append(...unit.map((text) => Object.assign(document.createElement("td"), { textContent: text })))
      return row
    }))
    $("table").hidden = !card.units.length
  }
  const others = (card) => {
    const place = $(".others")
    const key = JSON.stringify(card.others)
    if (place.dataset.key === key) return
    place.dataset.key = key
    place.hidden = !card.others.length
    place.replaceChildren(`${card.others.length} more here: `, ...card.others.map(([code, name]) => {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: name })
      button.addEventListener("click", () => say({ do: "open", code, keep: true }))
      return button
    }))
  }
  const round = (number) => Math.abs(number) >= 10 ? Math.round(number).toLocaleString("en-AU") : String(Math.round(number * 10) / 10)
  const draw = (card) => {
    const { power, clock, at } = card.day
    const known = power.filter((v) => v != null)
    const low = Math.min(0, ...known)
    const high = Math.max(1, ...known) || 1
    const x = (i) => LEFT + (i / Math.max(power.length - 1, 1)) * (WIDTH - LEFT - 4)
    const y = (v) => 6 + ((high - v) / (high - low)) * (HEIGHT - BOTTOM - 8)
    let line = ""
    let area = ""
    let begun = -1
    power.forEach((v, i) => {
      if (v != null) { line += `${begun < 0 ? "M" : "L"}${x(i).toFixed(1)} ${y(v).toFixed(1)}`; if (begun < 0) { begun = i; area += `M${x(i).toFixed(1)} ${y(0).toFixed(1)}` } area += `L${x(i).toFixed(1)} ${y(v).toFixed(1)}` }
      if (begun >= 0 && (v == null || i === power.length - 1)) { area += `L${x(v == null ? i - 1 : i).toFixed(1)} ${y(0).toFixed(1)}Z`; begun = -1 }
    })
    const steps = marks(low, high)
    $(".grid").setAttribute("d", steps.map((v) => `M${LEFT} ${y(v).toFixed(1)}H${WIDTH - 4}`).join(""))
    $(".line").setAttribute("d", line)
    $(".area").setAttribute("d", area)
    $(".at").setAttribute("d", at >= 0 ? `M${x(at).toFixed(1)} 4V${HEIGHT - BOTTOM}` : "")
    const label = (text, left, top) => {
      const part = Object.assign(document.createElement("span"), { textContent: text })
      if (left != null) part.style.left = `${(left / WIDTH) * 100}%`
      if (top != null) part.style.top = `${(top / HEIGHT) * 100}%`
      return part
    }
    $(".ys").replaceChildren(...steps.map((v) => label(round(v).replace("-", "\u2212"), null, y(v))))
    const every = Math.max(1, Math.round(power.length / 4))
    $(".xs").replaceChildren(...clock.map((text, i) => [text, i]).filter(([, i]) => i % every === Math.floor(every / 2)).map(([text, i]) => label(text, x(i), null)))
    $("figcaption").textContent = "Power, MW, 24 h"
    $("figure").setAttribute("aria-label", known.length
      ? `Power of ${card.name} over 24 hours: ${round(Math.min(...known))} to ${round(Math.max(...known))} MW, now ${card.power}`
      : `No power of ${card.name} is known for these 24 hours`)
  }
  const paint = () => {
    const card = model.card
    const code = card.code ?? ""
    if (!code) {
      pane.hidden = true
      document.documentElement.dataset.detail = ""
      if (shown) {
        if (opener?.isConnected) opener.focus()
      }
      shown = ""
      return
    }
    put("h2", card.name)
    put("[data-testid=detail-power]", card.power)
    put("[data-testid=detail-factor]", card.factor)
    put("[data-testid=detail-when]", card.when)
    pane.style.setProperty("--fuel", `var(--fuel-${card.fuel})`)
    pane.style.setProperty("--pattern", `var(--pattern-${card.fuel},none)`)
    $(".gauge s").style.width = `${Math.min(Math.abs(card.share ?? 0), 1) * 100}%`
    facts(card); others(card); draw(card)
    $(".link").href = model.href
    if (code !== shown) {
      units(card)
      const first = !shown
      if (first) { const at = deepActive(); opener = at && at !== document.body ? at : null }
      shown = code
      pane.hidden = false
      document.documentElement.dataset.detail = "open"
      if (first) $(".close").focus({ preventScroll: true })
      pane.scrollTop = 0
    }
  }
  const keys = (event) => {
    if (!shown || event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return
    const { dialog, view } = document.documentElement.dataset
    // The pane is not seen beside Explore.
    if (dialog || view === "explore") return
    const at = event.composedPath()[0]
    if (event.key === "Escape") { say({ do: "close" }); return }
    if (at.matches?.("input, select, textarea, [role=tab], [role=row], [data-keys]")) return
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key]
    if (step) { event.preventDefault(); say({ do: "neighbour", step }) }
  }
  document.addEventListener("keydown", keys)
  model.on("remove", () => document.removeEventListener("keydown", keys))
  $(".close").addEventListener("click", () => say({ do: "close" }))
  $(".prev").addEventListener("click", () => say({ do: "neighbour", step: -1 }))
  $(".next").addEventListener("click", () => say({ do: "neighbour", step: 1 }))
  $(".csv").addEventListener("click", () => say({ do: "csv", what: "station" }))
  model.on("card", paint)
  model.on("href", () => { $(".link").href = model.href })
  paint()
}
