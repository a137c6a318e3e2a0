// What calls for attention: a button with the day's list, there only when there is something, and a toast for what is new.
const TOAST_MS = 12000
const MOST_TOASTS = 4

export function render({ model, el }) {
  el.innerHTML = `
    <div class="bell" hidden>
      <button type="button" class="open" aria-expanded="false" aria-controls="list" data-testid="alerts"><svg viewBox="0 0 16 16" aria-hidden="true"><path d="M8 1.8a4 4 0 0 0-4 4V9l-1.4 2.6h10.8L12 9V5.8a4 4 0 0 0-4-4zM6.4 13.3a1.7 1.7 0 0 0 3.200 0"/></svg><span></span></button>
      <div id="list" class="list" role="group" aria-label="Alerts of the day" data-testid="alert-list" hidden><ul></ul></div>
    </div>
    <div class="toasts" role="status" aria-live="polite" aria-label="New alerts" data-testid="toasts"></div>`
  const $ = (name) => el.querySelector(name)
  const list = $("#list")
  const button = $(".open")
  const toggle = (on) => { list.hidden = !on; button.setAttribute("aria-expanded", String(on)) }
  const focused = (part) => part.contains(el.getRootNode().activeElement)
  // Who is on what goes away is at the bell then, and not at the head of the page.
  const leave = (part) => { if (focused(part)) button.focus() }
  const jump = ({ region, code, moment }) => { leave(list); toggle(false); model.send_msg({ do: "jump", region, code, moment }) }
  const part = (tag, className, text) => Object.assign(document.createElement(tag), { className, textContent: text })

  const made = (alert) => {
    const line = document.createElement("li")
    line.dataset.id = alert.id
    line.dataset.kind = alert.kind
    const go = part(alert.moment ? "button" : "div", "line", "")
    go.append(...["time", "span", "b"].map((tag) => part(tag, "", "")))
    if (alert.moment) { go.type = "button"; go.addEventListener("click", () => jump(line.alert)) }
    line.append(go)
    return line
  }
  const paint = () => {
    const { alerts = [] } = model.now
    $(".bell").hidden = !alerts.length
    if (!alerts.length) toggle(false)
    button.querySelector("span").textContent = alerts.length
    button.setAttribute("aria-label", `${alerts.length} alert${alerts.length === 1 ? "" : "s"} today`)
    button.classList.toggle("stale", alerts.some((each) => each.kind === "stale"))
    const lines = new Map([...$("ul").children].map((line) => [line.dataset.id, line]))
    const wanted = alerts.map((alert) => {
      const line = lines.get(alert.id) ?? made(alert)
      line.alert = alert
      for (const [tag, text] of [["time", alert.when], ["span", alert.text], ["b", alert.more]]) {
        const told = line.querySelector(tag)
        if (told.textContent !== text) told.textContent = text
      }
      return line
    })
    for (const line of lines.values()) if (!wanted.includes(line)) { leave(line); line.remove() }
    wanted.forEach((line, n) => { if ($("ul").children[n] !== line) $("ul").insertBefore(line, $("ul").children[n] ?? null) })
  }
  const away = (card) => { leave(card); card.remove() }
  const toast = (alert) => {
    const card = part("div", "toast", "")
    card.dataset.kind = alert.kind
    const text = part("span", "", `${alert.when ? `${alert.when} ` : ""}${alert.text}${alert.more ? ", " : ""}`)
    text.append(part("span", "whole", alert.more))
    card.append(text)
    let timer = null
    const wait = () => { clearTimeout(timer); timer = setTimeout(() => away(card), TOAST_MS) }
    // Nobody is hurried who reads it or is about to press a button of it.
    for (const name of ["pointerenter", "focusin"]) card.addEventListener(name, () => clearTimeout(timer))
    for (const name of ["pointerleave", "focusout"]) card.addEventListener(name, wait)
    if (alert.moment) {
      const show = Object.assign(part("button", "show", "Show"), { type: "button" })
      show.addEventListener("click", () => { away(card); jump(alert) })
      card.append(show)
    }
    const close = Object.assign(part("button", "close", "✕"), { type: "button" })
    close.setAttribute("aria-label", "Close this alert")
    close.addEventListener("click", () => away(card))
    card.append(close)
    $(".toasts").append(card)
    // The list has all of them: many at once must not cover the page.
    const idle = [...$(".toasts").children].filter((each) => each !== card && !each.matches(":hover, :focus-within"))
    for (const each of idle.slice(0, Math.max($(".toasts").children.length - MOST_TOASTS, 0))) each.remove()
    wait()
  }
  button.addEventListener("click", () => toggle(list.hidden))
  const outside = (event) => { if (!event.composedPath().includes($(".bell"))) toggle(false) }
  document.addEventListener("pointerdown", outside)
  $(".bell").addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !list.hidden) { event.stopPropagation(); toggle(false); button.focus() }
  })
  model.on("now", () => { paint(); for (const alert of model.now.news ?? []) toast(alert) })
  model.on("remove", () => document.removeEventListener("pointerdown", outside))
  paint()
}
