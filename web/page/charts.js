// The two charts of the race, and the series that they draw.
const $ = (id) => document.getElementById(id);
/** Points of one line at most: from twice as many on, two become one. */
const MOST = 2000;
/** A loss this many times that of the beginning is off the chart, so that a network that diverges leaves the other readable. */
const CLIP = 4;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** A line: values at steps, and at seconds of the network's own turns. Each point is the mean of `every` steps. */
export function series() {
  return { steps: [], seconds: [], values: [], every: 1, sum: 0, count: 0 };
}

export function add(line, step, seconds, value) {
  line.sum += value;
  if (++line.count < line.every) return;
  line.steps.push(step);
  line.seconds.push(seconds);
  line.values.push(line.sum / line.count);
  [line.sum, line.count] = [0, 0];
  if (line.steps.length < 2 * MOST) return;
  line.values = line.values.filter((_, i) => i % 2).map((value, i) => (value + line.values[2 * i]) / 2);
  [line.steps, line.seconds] = [line.steps, line.seconds].map((list) => list.filter((_, i) => i % 2));
  line.every *= 2;
}

/** Takes back what came after `step`. */
export function rewind(line, step) {
  const keep = line.steps.filter((one) => one <= step).length;
  for (const list of [line.steps, line.seconds, line.values]) list.length = keep;
  [line.sum, line.count] = [0, 0];
}

let charts = [];
let lanes = [];

function chart(place, names, y, format, points) {
  place.replaceChildren();
  const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
  const made = new uPlot(
    {
      width: place.clientWidth,
      height: place.clientHeight,
      cursor: { y: false },
      scales: { x: { time: false }, y },
      axes: [axis, { ...axis, size: 56, values: format }],
      series: [
        {},
        { label: names[0], stroke: colour("--batch"), width: 2, dash: [6, 4], spanGaps: true, points },
        { label: names[1], stroke: colour("--deconv"), width: 2, spanGaps: true, points },
      ],
    },
    [[], [], []],
    place,
  );
  // The element around it has the name.
  made.root.setAttribute("aria-hidden", "true");
  return made;
}

/** Lowest and highest loss that the chart shows. */
function range(_, low, high) {
  if (!(low > 0)) return [0.01, 10];
  const top = CLIP * Math.max(...lanes.map((lane) => lane.loss.values[0] ?? 0));
  return uPlot.rangeLog(low, Math.max(2 * low, Math.min(high, top)), 10, false);
}

export function build(names, of) {
  lanes = of;
  charts = [
    chart($("loss"), names, { distr: 3, range }, (_, ticks) => ticks.map((v) => (v === null ? null : String(Number(v.toPrecision(1))))), { show: false }),
    chart($("accuracy"), names, { range: (_, low) => [Math.min(0.8, Math.floor((low ?? 0) * 10) / 10), 1] }, (_, ticks) => ticks.map((v) => `${Math.round(v * 100)} %`), { show: true, size: 5 }),
  ];
  show();
}

function show() {
  const x = $("axis").value === "steps" ? "steps" : "seconds";
  // A logarithmic axis has no place for what is no number, nor for nothing.
  const some = (list) => list.map((v) => (v > 0 && isFinite(v) ? v : null));
  charts[0].setData(uPlot.join(lanes.map((lane) => [lane.loss[x], some(lane.loss.values)])));
  charts[1].setData(uPlot.join(lanes.map((lane) => [lane.accuracy[x], lane.accuracy.values])));
}

let drawing = false;

/** Draws soon, and not more often than a screen shows. */
export function draw(of, after = () => {}) {
  lanes = of;
  if (drawing || !charts.length) return;
  drawing = true;
  setTimeout(() => requestAnimationFrame(() => {
    drawing = false;
    show();
    after();
  }), 60);
}

addEventListener("resize", () => charts.forEach((chart) => {
  const place = chart.root.parentElement;
  chart.setSize({ width: place.clientWidth, height: place.clientHeight });
}));
