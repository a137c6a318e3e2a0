// A map's proportions, whatever the size of its frame: all of `extent` at first, and what a reader has zoomed to about its middle.
const { inner_width: width, inner_height: height, x_range: x, y_range: y } = plot
if (!(width > 0 && height > 0)) return
const [west, south, east, north] = extent
const scale = Math.max((east - west) / width, (north - south) / height)
const about = (from, to, span) => ({ start: (from + to - span) / 2, end: (from + to + span) / 2 })
const whole = [about(west, east, scale * width), about(south, north, scale * height)]
for (const [i, range] of [x, y].entries()) range.setv({ reset_start: whole[i].start, reset_end: whole[i].end })
const is = (range, other) => range.start === other.start && range.end === other.end
const zoomed = plot.fitted != null && !(is(x, plot.fitted[0]) && is(y, plot.fitted[1]))
if (zoomed) {
  x.setv(about(x.start, x.end, (y.end - y.start) * width / height))
} else {
  plot.fitted = whole
  x.setv(whole[0])
  y.setv(whole[1])
}
