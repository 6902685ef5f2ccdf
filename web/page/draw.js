// What the chapters draw with: sharp canvases, axes, lines and dots.

/** Colours and dashes of the networks of a race. */
export const LANES = [["--batch", [6, 4]], ["--deconv", []], ["--third", [2, 3]], ["--fourth", [10, 3, 2, 3]]];

export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Clears a canvas and makes it as sharp as the screen; lengths are in pixels of the page. */
export function surface(canvas) {
  const [ratio, width, height] = [devicePixelRatio || 1, canvas.clientWidth, canvas.clientHeight];
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.font = "12px system-ui, sans-serif";
  context.lineJoin = "round";
  return { context, width, height };
}

/** Axes around a plot. Returns `{ context, x, y, inside }`: places of values, and drawing that stays within them. */
export function axes(canvas, { x: [left, right], y: [low, high], log = false, names, ticks }) {
  const { context, width, height } = surface(canvas);
  const [west, north, east, south] = [58, 10, 12, 36];
  const bent = (v) => (log ? Math.log10(v) : v);
  const x = (v) => west + ((v - left) / (right - left)) * (width - west - east);
  const y = (v) => height - south - ((bent(v) - bent(low)) / (bent(high) - bent(low))) * (height - north - south);
  context.strokeStyle = colour("--line");
  context.fillStyle = colour("--soft");
  context.lineWidth = 1;
  context.textAlign = "center";
  for (const [value, text] of ticks[0]) {
    path(context, [[x(value), north], [x(value), height - south]]);
    context.fillText(text ?? String(value), x(value), height - south + 14);
  }
  context.fillText(names[0], (west + width - east) / 2, height - 6);
  context.textAlign = "right";
  for (const [value, text] of ticks[1]) {
    path(context, [[west, y(value)], [width - east, y(value)]]);
    context.fillText(text ?? String(value), west - 5, y(value) + 4);
  }
  context.save();
  context.translate(11, (north + height - south) / 2);
  context.rotate(-Math.PI / 2);
  context.textAlign = "center";
  context.fillText(names[1], 0, 0);
  context.restore();
  const inside = (work) => {
    context.save();
    context.beginPath();
    context.rect(west, north, width - west - east, height - north - south);
    context.clip();
    work();
    context.restore();
  };
  return { context, x, y, inside };
}

/** A line through points that are places; what is no number interrupts it. */
export function path(context, points) {
  context.beginPath();
  let pen = false;
  for (const [px, py] of points) {
    const there = Number.isFinite(px) && Number.isFinite(py);
    if (there) pen ? context.lineTo(px, py) : context.moveTo(px, py);
    pen = there;
  }
  context.stroke();
}

export function dot(context, px, py, radius) {
  context.beginPath();
  context.arc(px, py, radius, 0, 2 * Math.PI);
  context.fill();
}

/** The pairs of a flat list. */
export const pairs = (flat) => Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]]);

/** Powers of ten with what is written at them. */
export const decades = (from, to, every = 1) => Array.from({ length: Math.floor((to - from) / every) + 1 }, (_, i) => {
  const power = from + i * every;
  return [10 ** power, power >= 0 && power <= 3 ? String(10 ** power) : `1e${power}`];
});

export const percent = (share) => (share > 9.995 ? "over 1,000 %" : share >= 0.0995 ? `${(100 * share).toFixed(0)} %` : share >= 5e-4 ? `${(100 * share).toFixed(1)} %` : "0.0 %");

/** Round values from `low` to `high`, five or so, with what is written at them. */
export function even(low, high) {
  const each = 10 ** Math.floor(Math.log10((high - low) / 2));
  const wide = [1, 2, 5].map((n) => n * each).find((step) => (high - low) / step <= 6) ?? 10 * each;
  const [first, last] = [Math.ceil(low / wide - 1e-9), Math.floor(high / wide + 1e-9)];
  return Array.from({ length: last - first + 1 }, (_, i) => [Number(((first + i) * wide).toPrecision(6))]);
}

/** Values of a logarithmic axis: 1, 2, 5 and their like. */
export function between(low, high) {
  const all = [];
  for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power++) all.push(...[1, 2, 5].map((n) => Number((n * 10 ** power).toPrecision(1))));
  const inside = all.filter((v) => v >= low && v <= high);
  const powers = inside.filter((v) => /^[0.]*1(0*$|e)/.test(String(v)));
  return (inside.length > 8 ? powers : inside).map((v) => [v, v < 1e-3 ? v.toExponential() : String(v)]);
}
