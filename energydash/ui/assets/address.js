// The page's address: each step is an entry of the browser's history, and Back is told to the session.
export function render({ model }) {
  const write = () => {
    const { query, step } = model.entry
    if (query === undefined || query === location.search.replace(/^\?/, "")) return
    const url = location.pathname + (query ? `?${query}` : "") + location.hash
    history[step ? "pushState" : "replaceState"](null, "", url)
  }
  const back = () => model.send_msg({ do: "back", query: location.search })
  window.addEventListener("popstate", back)
  model.on("remove", () => window.removeEventListener("popstate", back))
  model.on("entry", write)
  // A page that was there before has another session now, which knows only the address that it was opened with.
  const page = document.documentElement.dataset
  if (page.address) back()
  else { page.address = "told"; write() }
}
