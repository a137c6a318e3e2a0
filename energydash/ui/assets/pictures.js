// Charts as PNG files on a light ground, with title and legend; and the mix of fuels as the sign of the browser's tab.
const NAMES = { stack: "generation", price: "price" }
const PAD = 14

export function render({ model }) {
  const figureOf = (id) => [...Bokeh.documents[0].all_models].find((m) => m.html_attributes?.["data-testid"] === id)
  const painted = () => new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))

  // Puts the light theme's colours in place of the page's own, in this browser alone; gives what undoes it.
  const lighten = (figure) => {
    const undo = []
    const light = (value) => typeof value === "string" ? model.looks.swap[value.toLowerCase()] : undefined
    for (const part of figure.references()) {
      for (const [name, value] of Object.entries(part.attributes)) {
        if (!name.endsWith("color")) continue
        const plain = light(value)
        const wrapped = light(value?.value)
        if (plain === undefined && wrapped === undefined) continue
        undo.push(() => part.setv({ [name]: value }, { sync: false }))
        part.setv({ [name]: plain ?? { ...value, value: wrapped } }, { sync: false })
      }
    }
    return () => undo.forEach((each) => each())
  }
  const nameOf = (id, figure) => {
    const columns = figure.renderers.map((r) => r.data_source?.data).find((d) => d)
    const times = [...((columns instanceof Map ? columns.get("t") : columns?.t) ?? [])].filter(Number.isFinite)
    const at = times.length ? new Date(Math.max(...times)).toISOString().slice(0, 16).replace(/[-:]/g, "") : "empty"
    return `energydash-${NAMES[id]}-${new URLSearchParams(location.search).get("region") ?? "NEM"}-${at}.png`
  }
  const compose = (id, chart, ratio) => {
    const sheet = document.createElement("canvas")
    const pen = sheet.getContext("2d")
    const font = (weight) => `${weight} ${13 * ratio}px ${getComputedStyle(document.body).fontFamily}`
    const keys = model.looks.keys[id]
    pen.font = font(400)
    const widths = keys.map(([label]) => pen.measureText(label).width + 34 * ratio)
    const lines = []
    let x = Infinity
    keys.forEach((_, i) => {
      if (x + widths[i] > chart.width - PAD * ratio) { lines.push([]); x = PAD * ratio }
      lines.at(-1).push([i, x])
      x += widths[i]
    })
    sheet.width = chart.width
    sheet.height = chart.height + (44 + lines.length * 20) * ratio
    pen.fillStyle = model.looks.ground
    pen.fillRect(0, 0, sheet.width, sheet.height)
    pen.drawImage(chart, 0, 30 * ratio)
    pen.textBaseline = "middle"
    pen.fillStyle = model.looks.ink
    pen.font = font(600)
    pen.fillText(document.querySelector(`.${id} h2`).dataset.title, PAD * ratio, 17 * ratio)
    pen.font = font(400)
    lines.forEach((line, n) => line.forEach(([i, left]) => {
      const y = chart.height + (46 + n * 20) * ratio
      pen.fillStyle = keys[i][1]
      pen.fillRect(left, y - 5 * ratio, 11 * ratio, 11 * ratio)
      pen.fillStyle = model.looks.ink
      pen.fillText(keys[i][0], left + 16 * ratio, y)
    }))
    return sheet
  }
  const save = async (id) => {
    const figure = figureOf(id)
    const back = lighten(figure)
    try {
      await painted()
      const layer = Bokeh.index.find_one(figure).export("png")
      const sheet = compose(id, layer.canvas, layer.pixel_ratio)
      const link = document.createElement("a")
      link.href = URL.createObjectURL(await new Promise((go) => sheet.toBlob(go, "image/png")))
      link.download = nameOf(id, figure)
      link.click()
      setTimeout(() => URL.revokeObjectURL(link.href), 10000)
    } finally {
      back()
    }
  }
  const click = (event) => { if (event.target.matches?.("button.png")) save(event.target.dataset.figure) }
  document.addEventListener("click", click)
  model.on("remove", () => document.removeEventListener("click", click))

  const sign = () => {
    if (!model.mix.length) return
    const style = getComputedStyle(document.documentElement)
    let y = 16
    const total = model.mix.reduce((sum, [, share]) => sum + share, 0)
    const bands = model.mix.map(([fuel, share]) => {
      const height = (share / total) * 16
      y -= height
      return `<rect y="${y.toFixed(2)}" width="16" height="${(height + 0.05).toFixed(2)}" fill="${style.getPropertyValue(`--fuel-${fuel}`).trim()}"/>`
    }).join("")
    const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><clipPath id="a"><rect width="16" height="16" rx="3.5"/></clipPath><g clip-path="url(#a)">${bands}</g><path d="M9 1.6 3 9h4.4l-.9 5.4L13 7H8.5z" fill="#fff" stroke="#1b1f24" stroke-width=".9" stroke-linejoin="round"/></svg>`
    for (const link of document.querySelectorAll("link[rel~=icon]")) link.href = `data:image/svg+xml,${encodeURIComponent(svg)}`
  }
  model.on("mix", sign)
  sign()
}
