// The time of all that is shown: live, or any interval of the day that has come. Playing is a clock of the browser's own;
// the stream goes on behind it.
const STEP_S = 300
// Like the stream's own speed: seconds of the grid for each second that passes.
const SPEEDS = [1, 10, 60, 600]

export function render({ model, el }) {
  el.innerHTML = `
    <div class="time" role="group" aria-label="Time">
      <button type="button" class="back" data-testid="back" aria-label="Five minutes back" title="Five minutes back">‹</button>
      <button type="button" class="play" data-testid="play" aria-pressed="false"></button>
      <button type="button" class="on" data-testid="on" aria-label="Five minutes on" title="Five minutes on">›</button>
      <select class="speed" data-testid="speed" aria-label="Speed of playing" title="Seconds of the grid for each second that passes">${
        SPEEDS.map((s) => `<option value="${s}">${s}×</option>`).join("")}</select>
      <input type="range" step="${STEP_S}" data-testid="slider" aria-label="Time shown">
      <output data-testid="moment" aria-live="off"></output>
      <button type="button" class="live" data-testid="live"><i aria-hidden="true"></i>Live</button>
    </div>`
  const $ = (name) => el.querySelector(name)
  const slider = $("input")
  const speed = $(".speed")
  speed.value = "600"
  let playing = null
  // What was asked for and not yet confirmed, so that steps in a row add up.
  let asked = null

  const now = () => asked ?? (model.now.moment || model.now.end)
  const go = (moment) => {
    const held = Math.min(Math.max(moment, model.now.start), model.now.end)
    asked = held >= model.now.end ? null : held
    slider.value = held
    model.send_msg({ do: "time", moment: asked ?? 0 })
    if (asked === null) stop()
  }
  const stop = () => { clearInterval(playing); playing = null; paint() }
  const play = () => {
    if (!model.now.moment && asked === null) go(model.now.start)
    clearInterval(playing)
    playing = setInterval(() => go(now() + STEP_S), (STEP_S * 1000) / Number(speed.value))
    paint()
  }
  const paint = () => {
    slider.min = model.now.start
    slider.max = model.now.end
    // The day's beginning may have moved on beyond what was asked for.
    if (asked !== null && Math.max(asked, model.now.start) === model.now.moment) asked = null
    if (asked === null) slider.value = model.now.moment || model.now.end
    const past = model.now.moment > 0
    $(".time").classList.toggle("past", past)
    document.documentElement.dataset.past = past ? "yes" : ""
    $("output").textContent = model.now.text
    slider.setAttribute("aria-valuetext", model.now.text)
    $(".live").setAttribute("aria-pressed", String(!past))
    $(".play").textContent = playing ? "❚❚" : "▶"
    $(".play").setAttribute("aria-label", playing ? "Pause" : "Play the day")
    $(".play").setAttribute("aria-pressed", String(Boolean(playing)))
    for (const name of ["back", "play", "on"]) $(`.${name}`).disabled = model.now.end <= model.now.start
  }
  $(".back").addEventListener("click", () => { stop(); go(now() - STEP_S) })
  $(".on").addEventListener("click", () => { stop(); go(now() + STEP_S) })
  $(".play").addEventListener("click", () => (playing ? stop() : play()))
  speed.addEventListener("change", () => { if (playing) play() })
  slider.addEventListener("input", () => { if (playing) stop(); go(Number(slider.value)) })
  $(".live").addEventListener("click", () => {
    stop()
    go(model.now.end)
    // Charts that were zoomed go back to the whole day, too.
    for (const view of window.Bokeh?.index?.roots ?? []) reset(view)
  })
  const reset = (view) => {
    if (view.model?.tags?.includes("day")) view.reset()
    for (const child of view.child_views ?? []) reset(child)
  }
  model.on("now", paint)
  model.on("remove", () => clearInterval(playing))
  paint()
}
