// The day so far, what moved lately, and what calls for attention: three short lists that patch their text in place.
export function render({ model, el }) {
  el.innerHTML = `
    <div class="lists">
      <section aria-labelledby="day"><table data-testid="today"><thead><tr><td><h2 id="day" data-testid="today-title"></h2></td><th scope="col">high</th><th scope="col">low</th></tr></thead><tbody></tbody></table></section>
      <section aria-labelledby="moved"><h2 id="moved">Moved in 30 min</h2><ul class="moves" data-testid="moves"></ul><p class="calm" hidden>No station moved by 5 MW or more.</p></section>
    </div>`
  const $ = (name) => el.querySelector(name)
  const put = (part, text) => { if (part.textContent !== text) part.textContent = text }
  const cell = (tag, testid) => {
    const part = document.createElement(tag)
    if (testid) part.dataset.testid = testid
    return part
  }
  const paintDay = () => {
    put($("#day"), model.now.title ?? "")
    const body = $("tbody")
    for (const [n, [id, label, high, highAt, low, lowAt]] of (model.now.spans ?? []).entries()) {
      let row = body.children[n]
      if (!row) {
        row = document.createElement("tr")
        const head = cell("th")
        head.scope = "row"
        row.append(head)
        for (const end of ["high", "low"]) {
          const place = cell("td")
          place.append(cell("b", `${id}-${end}`), " ", cell("time", `${id}-${end}-at`))
          row.append(place)
        }
        body.append(row)
      }
      put(row.children[0], label)
      for (const [place, value, at] of [[row.children[1], high, highAt], [row.children[2], low, lowAt]]) {
        put(place.querySelector("b"), value)
        put(place.querySelector("time"), at)
      }
    }
  }
  const paintMoves = () => {
    const list = $(".moves")
    const moves = model.now.moves ?? []
    while (list.children.length > moves.length) list.lastChild.remove()
    moves.forEach(([code, name, fuel, change, power], n) => {
      let item = list.children[n]
      if (!item) {
        item = document.createElement("li")
        item.innerHTML = `<button type="button"><i></i><span class="name"></span><span class="change"></span><span class="to"></span></button>`
        item.firstChild.addEventListener("click", () => model.send_msg({ do: "open", code: item.dataset.code }))
        list.append(item)
      }
      item.dataset.code = code
      item.querySelector("i").style.background = `var(--pattern-${fuel},none),var(--fuel-${fuel})`
      put(item.querySelector(".name"), name)
      item.querySelector(".name").title = name
      put(item.querySelector(".change"), change)
      put(item.querySelector(".to"), `to ${power}`)
    })
    $(".calm").hidden = moves.length > 0
  }
  const paint = () => { paintDay(); paintMoves() }
  model.on("now", paint)
  paint()
}
