// The stations as a table: the map for who does not see it. Only the rows in view are in the page; a value that
// changed replaces its text, and neither order, scroll nor focus is touched while somebody is in the table.
// As in the style sheet: on a phone a row has room for a finger.
const PHONE = matchMedia("(max-width: 620px)")
const rowPx = () => (PHONE.matches ? 44 : 30)
const SPARE = 8
const COLUMNS = [
  ["name", "Station"], ["region", "Region"], ["fuel", "Fuel"], ["status", "Status"],
  ["power", "Power MW", "Net power; what is charged or pumped is negative"], ["factor", "Use %", "Capacity factor: power / registered capacity"], ["capacity", "Cap. MW", "Registered capacity"],
  ["emissions", "CO₂ t", "Tonnes of CO2 in the interval of five minutes"], ["intensity", "t/MWh", "Tonnes of CO2 for each MWh"],
]
const TEXTS = 4

export function render({ model, el }) {
  el.innerHTML = `
    <div class="scroll" data-testid="table" tabindex="-1">
      <table role="grid" aria-label="Power stations">
        <thead><tr></tr></thead><tbody></tbody>
      </table>
      <p class="none" hidden>No station is like that. <button type="button" data-testid="none-clear">Clear the filters</button></p>
    </div>`
  const scroll = el.querySelector(".scroll")
  const body = el.querySelector("tbody")
  const head = el.querySelector("thead tr")
  let sort = { column: 4, down: true }
  let order = []
  let at = 0
  let cells = new Map()
  const drawn = new Map()

  const value = (row, column) => column < TEXTS ? row[[1, 2, 3, 5][column]] : cells.get(row[0])?.[column - TEXTS][0]
  const compare = (a, b) => {
    const [x, y] = [value(a, sort.column), value(b, sort.column)]
    if (x == null || y == null) return (x == null) - (y == null) || a[1].localeCompare(b[1])
    const by = typeof x === "string" ? x.localeCompare(y) : x - y
    return (sort.down ? -by : by) || a[1].localeCompare(b[1])
  }
  const arrange = () => {
    const focused = order[at]?.[0]
    order = [...model.rows].sort(compare)
    at = Math.max(0, order.findIndex((row) => row[0] === focused))
    el.querySelector(".none").hidden = order.length > 0
    el.querySelector("table").setAttribute("aria-rowcount", order.length + 1)
  }
  COLUMNS.forEach(([id, label, title], n) => {
    const cell = document.createElement("th")
    cell.scope = "col"
    cell.className = id
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: label })
    button.dataset.testid = `sort-${id}`
    if (title) button.title = title
    button.addEventListener("click", () => {
      sort = { column: n, down: sort.column === n ? !sort.down : n >= TEXTS }
      scroll.scrollTop = 0
      arrange(); show(); heads()
    })
    cell.append(button)
    head.append(cell)
  })
  const heads = () => [...head.children].forEach((cell, n) => {
    cell.setAttribute("aria-sort", n !== sort.column ? "none" : sort.down ? "descending" : "ascending")
  })

  const open = (code) => model.send_msg({ do: "open", code })
  const make = (row) => {
    const line = document.createElement("tr")
    line.dataset.code = row[0]
    const name = document.createElement("td")
    const dot = document.createElement("i")
    dot.style.background = `var(--pattern-${row[4]},none),var(--fuel-${row[4]})`
    name.append(dot, row[1])
    line.append(name, ...[row[2], row[3], row[5]].map((text) => Object.assign(document.createElement("td"), { textContent: text })),
      ...COLUMNS.slice(TEXTS).map(() => document.createElement("td")))
    line.addEventListener("click", () => { at = order.indexOf(row); line.focus(); open(row[0]) })
    return line
  }
  const fill = (line) => {
    const texts = cells.get(line.dataset.code) ?? []
    texts.forEach(([, text], n) => {
      const cell = line.children[TEXTS + n]
      if (cell.textContent !== text) cell.textContent = text
    })
    line.setAttribute("aria-selected", String(line.dataset.code === model.chosen))
  }
  const gap = (rows) => {
    const line = document.createElement("tr")
    line.setAttribute("aria-hidden", "true")
    line.className = "gap"
    line.style.height = `${rows * rowPx()}px`
    return line
  }
  const show = () => {
    const first = Math.max(0, Math.floor(scroll.scrollTop / rowPx()) - SPARE)
    const last = Math.min(order.length, Math.ceil((scroll.scrollTop + (scroll.clientHeight || 600)) / rowPx()) + SPARE)
    const wanted = new Set(order.slice(first, last))
    // The row with the focus stays in the page, wherever one has scrolled to.
    for (const [row, line] of drawn) if (!wanted.has(row) && !line.matches(":focus")) { line.remove(); drawn.delete(row) }
    const lines = []
    if (first > 0) lines.push(gap(first))
    order.slice(first, last).forEach((row, n) => {
      const line = drawn.get(row) ?? make(row)
      drawn.set(row, line)
      line.setAttribute("aria-rowindex", first + n + 2)
      line.tabIndex = first + n === at ? 0 : -1
      fill(line)
      lines.push(line)
    })
    if (last < order.length) lines.push(gap(order.length - last))
    // Moving a row would take the focus from it: only what is out of place is put there.
    for (const old of [...body.children]) if (!lines.includes(old)) old.remove()
    lines.forEach((line, n) => { if (body.children[n] !== line) body.insertBefore(line, body.children[n] ?? null) })
  }
  const step = (to) => {
    at = Math.min(Math.max(to, 0), order.length - 1)
    const top = at * rowPx()
    if (top < scroll.scrollTop) scroll.scrollTop = top
    const room = scroll.clientHeight - head.offsetHeight - rowPx()
    if (top > scroll.scrollTop + room) scroll.scrollTop = top - room
    show()
    drawn.get(order[at])?.focus({ preventScroll: true })
  }
  body.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return
    const page = Math.max(1, Math.floor(scroll.clientHeight / rowPx()) - 2)
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -order.length, End: order.length }[event.key]
    if (by) { event.preventDefault(); step(at + by) }
    else if (event.key === "Enter" || event.key === " ") { event.preventDefault(); open(order[at][0]) }
  })
  scroll.addEventListener("scroll", () => requestAnimationFrame(show))
  const size = new ResizeObserver(() => show())
  size.observe(scroll)
  model.on("remove", () => size.disconnect())
  el.querySelector("[data-testid=none-clear]").addEventListener("click", () => model.send_msg({ do: "clear", field: "" }))

  // Who has opened a station comes back to its row.
  const busy = () => scroll.matches(":hover") || Boolean(el.getRootNode().activeElement?.closest("tbody")) || Boolean(model.chosen)
  model.on("cells", () => {
    for (const [code, texts] of Object.entries(model.cells)) cells.set(code, texts)
    if (sort.column >= TEXTS && !busy()) arrange()
    show()
  })
  model.on("rows", () => { drawn.clear(); body.replaceChildren(); arrange(); show() })
  model.on("chosen", () => { for (const line of drawn.values()) fill(line) })
  cells = new Map(Object.entries(model.cells))
  arrange(); heads(); show()
}
