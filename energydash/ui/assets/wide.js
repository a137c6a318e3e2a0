// While this is on the page, its view has the whole width (page.css).
export function render({ model }) {
  document.documentElement.dataset.view = "explore"
  model.on("remove", () => { delete document.documentElement.dataset.view })
}
