// What to look at: the three views, search with hits, filters with counts, the map's metric, CSV of what is shown.
// It holds no state: it says what was done, and paints what the session then knows.
const TABS = [["map", "Map"], ["table", "Table"], ["explore", "Explore"]]
const PAUSE_MS = 120

export function render({ model, el }) {
  el.innerHTML = `
    <div class="bar">
      <div class="tabs" role="tablist" aria-label="Views"></div>
      <div class="search">
        <input type="search" role="combobox" aria-label="Search stations by name, code, fuel or region" aria-expanded="false"
          aria-controls="hits" aria-autocomplete="list" autocomplete="off" spellcheck="false" maxlength="60" data-testid="search">
        <ul id="hits" role="listbox" aria-label="Stations found" hidden></ul>
      </div>
      <div class="drop">
        <button type="button" class="filters" aria-expanded="false" aria-controls="sheet" data-testid="filters">Filters</button>
        <div id="sheet" class="sheet" role="group" aria-label="Filters" hidden>
          <fieldset><legend>Fuel</legend><div class="fuels"></div></fieldset>
          <fieldset><legend>Status</legend><div class="statuses"></div></fieldset>
          <fieldset class="range"><legend>Capacity, MW</legend>
            <label>from <input type="number" min="0" step="any" inputmode="decimal" class="least" data-testid="least"></label>
            <label>to <input type="number" min="0" step="any" inputmode="decimal" class="most" data-testid="most"></label></fieldset>
        </div>
      </div>
      <button type="button" class="csv" data-testid="csv" title="Download what is shown here as CSV">CSV</button>
    </div>
    <div class="bar second">
      <span class="count" role="status" data-testid="count"></span>
      <span class="chips"></span>
      <button type="button" class="clear" data-testid="clear" hidden>Clear all</button>
      <label class="metric"><span>Circles</span> <select data-testid="metric" aria-label="What the area of a circle shows"></select></label>
      <label class="metric shade"><span>States</span> <select data-testid="shade" aria-label="What the shade of a state shows"></select></label>
    </div>`
  const $ = (name) => el.querySelector(name)
  const say = (what) => model.send_msg(what)

  // --- tabs ---
  for (const [id, label] of TABS) {
    const tab = document.createElement("button")
    Object.assign(tab, { type: "button", textContent: label, id: `tab-${id}` })
    tab.setAttribute("role", "tab")
    tab.dataset.testid = `tab-${id}`
    tab.addEventListener("click", () => say({ do: "tab", tab: id }))
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key]
      if (!step || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return
      event.preventDefault()
      const next = el.querySelectorAll("[role=tab]")[(TABS.findIndex(([t]) => t === id) + step + TABS.length) % TABS.length]
      next.focus()
      next.click()
    })
    $(".tabs").append(tab)
  }
  const paintTab = () => {
    document.documentElement.dataset.view = model.tab
    for (const [id] of TABS) {
      const tab = el.querySelector(`#tab-${id}`)
      tab.setAttribute("aria-selected", String(id === model.tab))
      tab.tabIndex = id === model.tab ? 0 : -1
    }
    for (const choice of el.querySelectorAll(".metric")) choice.hidden = model.tab !== "map"
    $(".csv").title = { table: "Download the stations of the table as CSV", explore: "Download the lines over time as CSV, as far as you have zoomed" }[model.tab] ?? "Download the stations shown as CSV"
    // Explore asks tables of its own, which no filter narrows.
    for (const bar of el.querySelectorAll(".bar")) bar.classList.toggle("explore", model.tab === "explore")
  }

  // --- search ---
  const input = $("input[type=search]")
  const list = $("#hits")
  let waiting = null
  let current = -1
  const open = (code) => { close(); say({ do: "open", code }) }
  const close = () => { list.hidden = true; current = -1; input.setAttribute("aria-expanded", "false"); input.removeAttribute("aria-activedescendant") }
  const mark = (n) => {
    const items = [...list.children]
    if (!items.length) return
    current = (n + items.length) % items.length
    items.forEach((item, i) => item.setAttribute("aria-selected", String(i === current)))
    input.setAttribute("aria-activedescendant", items[current].id)
    items[current].scrollIntoView({ block: "nearest" })
  }
  const showHits = () => {
    list.replaceChildren(...model.hits.map(([code, name, more, fuel], i) => {
      const item = document.createElement("li")
      item.id = `hit-${i}`
      item.setAttribute("role", "option")
      item.setAttribute("aria-selected", "false")
      item.dataset.code = code
      const dot = document.createElement("i")
      dot.style.background = `var(--pattern-${fuel},none),var(--fuel-${fuel})`
      const what = document.createElement("span")
      what.textContent = name
      const where = document.createElement("small")
      where.textContent = more
      item.append(dot, what, where)
      item.addEventListener("mousedown", (event) => { event.preventDefault(); open(code) })
      return item
    }))
    const shown = input.value.trim() !== "" && model.hits.length > 0 && el.getRootNode().activeElement === input
    list.hidden = !shown
    input.setAttribute("aria-expanded", String(shown))
    current = -1
  }
  const send = () => { clearTimeout(waiting); waiting = null; say({ do: "text", text: input.value.trim() }) }
  input.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(send, PAUSE_MS) })
  input.addEventListener("blur", close)
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault()
      if (!list.hidden) mark(current + (event.key === "ArrowDown" ? 1 : current < 0 ? 0 : -1))
    } else if (event.key === "Enter" && model.hits.length && input.value.trim() && input.value.trim() === model.filters.text) {
      open(model.hits[Math.max(current, 0)][0])
    } else if (event.key === "Escape" && (input.value || !list.hidden)) {
      event.stopPropagation()
      if (list.hidden) { input.value = ""; send() }
      close()
    }
  })

  // --- filters ---
  const button = $(".filters")
  const sheet = $("#sheet")
  const toggle = (on) => { sheet.hidden = !on; button.setAttribute("aria-expanded", String(on)) }
  button.addEventListener("click", () => { toggle(sheet.hidden); if (!sheet.hidden) sheet.querySelector("input").focus() })
  const away = (event) => { if (!event.composedPath().includes($(".drop"))) toggle(false) }
  document.addEventListener("pointerdown", away)
  model.on("remove", () => document.removeEventListener("pointerdown", away))
  $(".drop").addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !sheet.hidden) { event.stopPropagation(); toggle(false); button.focus() }
  })
  const options = (place, kind, given, chosen) => {
    for (const [id, label, count] of given) {
      let line = place.querySelector(`[data-id="${CSS.escape(id)}"]`)
      if (!line) {
        line = document.createElement("label")
        line.dataset.id = id
        line.innerHTML = `<input type="checkbox"><i></i><span></span><b></b>`
        if (kind === "fuels") line.querySelector("i").style.background = `var(--pattern-${id},none),var(--fuel-${id})`
        else line.querySelector("i").remove()
        line.querySelector("span").textContent = label
        line.querySelector("input").addEventListener("change", () => {
          const on = [...place.querySelectorAll("label")].filter((l) => l.querySelector("input").checked).map((l) => l.dataset.id)
          say({ do: kind, [kind]: on })
        })
        place.append(line)
      }
      line.querySelector("b").textContent = count
      line.querySelector("input").checked = chosen.includes(id)
      line.classList.toggle("nothing", !count)
    }
    for (const line of [...place.children]) if (!given.some(([id]) => id === line.dataset.id)) line.remove()
  }
  const bound = (name) => {
    const field = $(`.${name}`)
    field.addEventListener("change", () => say({ do: "range", least: $(".least").value, most: $(".most").value }))
  }
  bound("least"); bound("most")
  const fill = (field, value) => { if (el.getRootNode().activeElement !== field) field.value = value ?? "" }
  const paintFilters = () => {
    const f = model.filters
    if (!f.counts) return
    options($(".fuels"), "fuels", f.fuels, f.chosen_fuels)
    options($(".statuses"), "statuses", f.statuses, f.chosen_statuses)
    fill($(".least"), f.least); fill($(".most"), f.most)
    fill(input, f.text)
    input.placeholder = `Search ${f.counts.of} stations  ( / )`
    const count = `${f.counts.shown} of ${f.counts.of} stations`
    // It is called out whenever it is written.
    if ($(".count").textContent !== count) $(".count").textContent = count
    button.textContent = f.active.length ? `Filters · ${f.active.length}` : "Filters"
    $(".clear").hidden = !f.active.length
    $(".chips").replaceChildren(...f.active.map(([name, text]) => {
      const chip = document.createElement("button")
      chip.type = "button"
      chip.textContent = `${text} ×`
      chip.setAttribute("aria-label", `Remove the filter ${text}`)
      chip.addEventListener("click", () => say({ do: "clear", field: name }))
      return chip
    }))
  }
  $(".clear").addEventListener("click", () => { input.value = ""; say({ do: "clear", field: "" }); input.focus() })
  $(".csv").addEventListener("click", () => say({ do: "csv", what: "stations" }))

  // --- what circles and states show ---
  const choosing = (name, options) => {
    const select = $(`[data-testid=${name}]`)
    select.addEventListener("change", () => say({ do: name, [name]: select.value }))
    return () => {
      if (!select.options.length) {
        for (const [id, label] of options()) select.add(new Option(label, id))
      }
      select.value = model[name]
    }
  }
  const paintMetric = choosing("metric", () => model.metrics)
  const paintShade = choosing("shade", () => model.shades)

  model.on("msg:custom", ({ name, text }) => {
    const link = document.createElement("a")
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }))
    link.download = name
    link.click()
    URL.revokeObjectURL(link.href)
  })
  const slash = (event) => {
    const at = event.composedPath()[0]
    if (event.key !== "/" || event.ctrlKey || event.metaKey || at.matches?.("input, select, textarea")) return
    event.preventDefault()
    input.focus()
    input.select()
  }
  document.addEventListener("keydown", slash)
  model.on("remove", () => document.removeEventListener("keydown", slash))
  model.on("tab", paintTab)
  model.on("hits", showHits)
  model.on("filters", paintFilters)
  model.on("metric", paintMetric)
  model.on("shade", paintShade)
  paintTab(); paintFilters(); paintMetric(); paintShade()
}
