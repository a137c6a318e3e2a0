// Once the browser has laid out what is on the page, it says so, one time.
export function render({ model }) {
  requestAnimationFrame(() => model.send_msg({ do: "rendered" }))
}
