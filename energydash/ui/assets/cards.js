// One button a scope; the text inside is replaced, the button itself stays, and with it focus and selection.
const WIDTH = 120
const HEIGHT = 22

function line(values) {
  const known = values.filter((v) => v != null)
  if (known.length < 2) return ""
  const low = Math.min(...known)
  const span = Math.max(...known) - low || 1
  let pen = "M"
  return values.map((v, i) => {
    if (v == null) { pen = "M"; return "" }
    const x = (i / (values.length - 1)) * WIDTH
    const y = HEIGHT - 2 - ((v - low) / span) * (HEIGHT - 4)
    const step = `${pen}${x.toFixed(1)} ${y.toFixed(1)}`
    pen = "L"
    return step
  }).join("")
}

export function render({ model, el }) {
  const row = document.createElement("div")
  row.className = "scopes"
  row.setAttribute("role", "group")
  row.setAttribute("aria-label", "Network and regions; choose one to look at")
  el.append(row)
  const buttons = new Map()

  const make = (card) => {
    const button = document.createElement("button")
    button.type = "button"
    button.dataset.testid = `card-${card.scope}`
    button.title = card.name
    button.innerHTML = `
      <span class="top"><b class="label"></b><span class="price" data-testid="price"></span></span>
      <span class="demand"><span data-testid="demand"></span> <small>demand</small></span>
      <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" aria-hidden="true"><path/></svg>
      <span class="more"><span data-testid="renewable" title="Renewable generation / total generation; batteries and pumps left out of both"></span>
        <span data-testid="intensity" title="Tonnes of CO2 for each MWh generated in the interval"></span></span>
      <span class="more"><span data-testid="generation" title="What the stations generate; batteries and pumps left out"></span>
        <span data-testid="flow" title="Demand minus supply of the region's stations"></span></span>`
    button.addEventListener("click", () => { model.send_msg({ do: "region", region: card.scope }) })
    row.append(button)
    buttons.set(card.scope, button)
    return button
  }
  const set = (button, name, text) => {
    const part = button.querySelector(name)
    if (part.textContent !== text) part.textContent = text
  }
  const paint = () => {
    for (const card of model.cards) {
      const button = buttons.get(card.scope) ?? make(card)
      set(button, ".label", card.label)
      set(button, ".price", card.price === "–" ? "" : `${card.price}/MWh${card.note ? "*" : ""}`)
      button.querySelector(".price").classList.toggle("negative", card.negative_price)
      set(button, "[data-testid=demand]", card.demand)
      set(button, "[data-testid=renewable]", `${card.renewable} renewable`)
      set(button, "[data-testid=intensity]", card.intensity)
      set(button, "[data-testid=generation]", `${card.generation} made`)
      set(button, "[data-testid=flow]", card.note ? "* not comparable" : card.flow)
      if (card.note) for (const part of [button, button.querySelector("[data-testid=flow]")]) part.title = `${card.name}. ${card.note}`
      button.querySelector("path").setAttribute("d", line(card.spark.split(",").map((v) => (v === "" ? null : Number(v)))))
    }
    for (const [scope, button] of buttons) {
      if (!model.cards.some((card) => card.scope === scope)) { button.remove(); buttons.delete(scope) }
    }
    choose()
  }
  const choose = () => {
    for (const [scope, button] of buttons) button.setAttribute("aria-pressed", String(scope === model.scope))
  }
  model.on("cards", paint)
  model.on("scope", choose)
  paint()
}
