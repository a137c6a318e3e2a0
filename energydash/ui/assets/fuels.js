// The fuels, top of the stack first: legend and numbers in one.
export function render({ model, el }) {
  el.innerHTML = `<div class="fuels"><h2></h2><ul></ul></div>`
  const list = el.querySelector("ul")
  const rows = new Map()

  const make = (fuel) => {
    const item = document.createElement("li")
    item.dataset.testid = `fuel-${fuel.id}`
    item.innerHTML = `<i></i><span class="name"></span><span class="bar"><s></s></span><span class="share"></span><span class="power"></span>`
    const colour = `var(--fuel-${fuel.id})`
    item.querySelector("i").style.background = colour
    item.querySelector("s").style.background = colour
    item.querySelector(".name").textContent = fuel.label
    list.append(item)
    rows.set(fuel.id, item)
    return item
  }
  const paint = () => {
    el.querySelector("h2").textContent = model.title
    for (const fuel of model.fuels) {
      const item = rows.get(fuel.id) ?? make(fuel)
      item.classList.toggle("none", fuel.power === "–")
      item.querySelector(".power").textContent = fuel.power
      item.querySelector(".share").textContent = fuel.share == null ? "" : `${(fuel.share * 100).toFixed(1)}\u202f%`
      item.querySelector("s").style.width = `${(fuel.share ?? 0) * 100}%`
    }
  }
  model.on("fuels", paint)
  model.on("title", paint)
  paint()
}
