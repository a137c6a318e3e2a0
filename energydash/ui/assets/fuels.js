// The fuels, top of the stack first: legend, numbers and switches in one.
export function render({ model, el }) {
  el.innerHTML = `<div class="fuels"><h2><span data-testid="fuels-title"></span><small data-testid="fuels-note"></small><button type="button" class="csv" data-testid="series-csv" title="Download the day of these fuels, with demand and price, as CSV">CSV</button></h2><ul></ul></div>`
  const list = el.querySelector("ul")
  el.querySelector(".csv").addEventListener("click", () => model.send_msg({ do: "csv", what: "series" }))
  const rows = new Map()
  const total = document.createElement("li")
  total.className = "total"
  total.innerHTML = `<i style="visibility:hidden"></i><span>Generation</span><span class="power" data-testid="total"></span>`
  total.title = "Batteries and pumps are left out: they store and take"

  const make = (fuel) => {
    const item = document.createElement("li")
    item.dataset.testid = `fuel-${fuel.id}`
    item.innerHTML = `<button type="button" title="Click to hide or show, Shift+click to show it alone"><i></i><span class="name"></span><span class="bar"><s></s></span><span class="share"></span><span class="power"></span></button>`
    const colour = `var(--fuel-${fuel.id})`
    item.querySelector("i").style.background = `var(--pattern-${fuel.id},none),${colour}`
    item.querySelector("s").style.background = colour
    item.querySelector(".name").textContent = fuel.label
    item.firstChild.addEventListener("click", (event) => {
      const all = model.now.fuels.map((each) => each.id)
      const shown = model.shown.length ? model.shown : all
      const only = shown.length === 1 && shown[0] === fuel.id
      const next = event.shiftKey ? (only ? all : [fuel.id])
        : shown.includes(fuel.id) ? shown.filter((id) => id !== fuel.id) : [...shown, fuel.id]
      model.send_msg({ do: "fuels", fuels: next.length === all.length ? [] : next })
    })
    list.append(item)
    rows.set(fuel.id, item)
    return item
  }
  const put = (part, text) => { if (part.textContent !== text) part.textContent = text }
  const paint = () => {
    put(el.querySelector("h2 span"), model.now.title)
    put(el.querySelector("small"), model.now.note)
    for (const fuel of model.now.fuels) {
      const item = rows.get(fuel.id) ?? make(fuel)
      item.classList.toggle("none", fuel.power === "–")
      item.firstChild.setAttribute("aria-pressed", String(!model.shown.length || model.shown.includes(fuel.id)))
      put(item.querySelector(".power"), fuel.power)
      put(item.querySelector(".share"), fuel.share == null ? "" : `${(fuel.share * 100).toFixed(1)}\u202f%`)
      item.querySelector("s").style.width = `${(fuel.share ?? 0) * 100}%`
    }
    if (list.lastChild !== total) list.append(total)
    put(total.querySelector(".power"), model.now.total)
  }
  for (const name of ["now", "shown"]) model.on(name, paint)
  paint()
}
