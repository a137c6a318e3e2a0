// What was known when the document was written, painted at once with the parts' own code; each part gives way when its live twin stands.
const LOST_AFTER_MS = 20000

function picture(canvas, { land, extent: [west, south, east, north] }, map) {
  const { width, height } = canvas.getBoundingClientRect()
  const style = getComputedStyle(document.documentElement)
  const hue = (name) => name.startsWith("--") ? style.getPropertyValue(name) : name
  const pen = canvas.getContext("2d")
  canvas.width = width * devicePixelRatio
  canvas.height = height * devicePixelRatio
  pen.scale(devicePixelRatio, devicePixelRatio)
  const scale = Math.max((east - west) / width, (north - south) / height)
  const at = (x, y) => [width / 2 + (x - (west + east) / 2) / scale, height / 2 - (y - (south + north) / 2) / scale]
  const font = style.getPropertyValue("--font")
  const write = (text, x, y, size) => {
    pen.font = `bold ${size}px ${font}`
    const lines = text.split("\n")
    lines.forEach((line, i) => pen.fillText(line, x, y + (i - (lines.length - 1) / 2) * size * 1.2))
  }
  pen.fillStyle = hue("--sea")
  pen.fillRect(0, 0, width, height)
  pen.fillStyle = hue("--land")
  pen.strokeStyle = hue("--coast")
  for (const rings of land) {
    pen.beginPath()
    for (const ring of rings) {
      for (let i = 0; i < ring.length; i += 2) pen[i ? "lineTo" : "moveTo"](...at(ring[i] * 1000, ring[i + 1] * 1000))
      pen.closePath()
    }
    pen.fill()
    pen.stroke()
  }
  pen.textBaseline = "middle"
  pen.textAlign = "center"
  pen.fillStyle = hue("--muted")
  const { names, arrows, labels } = map
  names.text.forEach((text, i) => write(text, ...at(names.x[i], names.y[i]), 12))
  pen.lineCap = "round"
  arrows.link.forEach((_, i) => {
    pen.strokeStyle = hue(arrows.paint[i])
    pen.lineWidth = arrows.width_px[i]
    pen.beginPath()
    pen.moveTo(...at(arrows.x0[i], arrows.y0[i]))
    pen.lineTo(...at(arrows.x1[i], arrows.y1[i]))
    pen.stroke()
  })
  arrows.link.forEach((_, i) => {
    const side = arrows.head_px[i] / 2
    const tall = side * Math.sqrt(3)
    pen.save()
    pen.translate(...at(arrows.x1[i], arrows.y1[i]))
    pen.rotate(-arrows.angle[i])
    pen.beginPath()
    pen.moveTo(-side, tall / 3)
    pen.lineTo(side, tall / 3)
    pen.lineTo(0, -tall * 2 / 3)
    pen.closePath()
    pen.fillStyle = hue(arrows.paint[i])
    pen.strokeStyle = hue(arrows.edge[i])
    pen.lineWidth = 1.5
    pen.fill()
    pen.stroke()
    pen.restore()
  })
  labels.label.forEach((text, i) => {
    pen.textAlign = labels.align[i]
    pen.fillStyle = hue(labels.ink[i])
    write(text, ...at(labels.label_x[i], labels.label_y[i]), 11)
  })
  for (const [x, y, size, fill, fillAlpha, line, lineAlpha, lineWidth] of map.circles) {
    pen.beginPath()
    pen.arc(...at(x, y), size / 2, 0, 2 * Math.PI)
    pen.globalAlpha = fillAlpha
    pen.fillStyle = hue(fill)
    pen.fill()
    pen.globalAlpha = lineAlpha
    pen.strokeStyle = hue(line)
    pen.lineWidth = lineWidth
    if (lineWidth) pen.stroke()
  }
}

function first(parts, { styles, ...fixed }, told) {
  if (!told) return
  const standing = []
  const host = (name, place) => {
    const box = document.createElement("div")
    box.dataset.first = name
    // It cannot do anything yet, and a moment later its twin can.
    box.inert = true
    place(box)
    const within = box.attachShadow({ mode: "open" })
    const style = document.createElement("style")
    style.textContent = styles[name]
    within.append(style)
    return [box, within]
  }
  const heard = {}
  for (const [name, render] of Object.entries(parts)) {
    const root = document.getElementById(name)
    const [box, within] = host(name, (each) => root.before(each))
    const el = document.createElement("div")
    within.append(el)
    const on = (what, work) => { (heard[`${name} ${what}`] ??= []).push(work) }
    const model = { ...told.parts[name], on, send_msg() {} }
    render({ model, el })
    for (const each of el.querySelectorAll("[data-testid]")) each.removeAttribute("data-testid")
    const mark = `.${el.firstElementChild.classList[0]}`
    standing.push({ name, box, model, stands: () => root.firstElementChild?.shadowRoot?.querySelector(mark) })
  }
  const [box, within] = host("where", (each) => document.getElementById("where").before(each))
  const canvas = document.createElement("canvas")
  canvas.style = "flex:1;min-height:0;width:100%"
  within.append(canvas)
  const [key, inKey] = host("where", (each) => within.append(each))
  key.className = "foot"
  inKey.append(...new DOMParser().parseFromString(told.map.legend, "text/html").body.children)
  picture(canvas, fixed, told.map)
  standing.push({ name: "where", box, stands: () => window.Bokeh?.documents?.[0]?.is_idle })
  const started = performance.now()
  const look = () => {
    for (const each of standing.filter(({ stands }) => stands())) {
      each.box.remove()
      for (const work of heard[`${each.name} remove`] ?? []) work()
      standing.splice(standing.indexOf(each), 1)
    }
    if (!standing.length) return
    const status = standing.find(({ name }) => name === "status")
    if (status && performance.now() - started > LOST_AFTER_MS && status.model.facts.stage !== "page") {
      status.model.facts = { ...status.model.facts, stage: "page" }
      for (const work of heard["status facts"]) work()
    }
    requestAnimationFrame(look)
  }
  requestAnimationFrame(look)
}
