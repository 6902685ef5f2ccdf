// Races before this one: kept when another begins, drawn faintly behind it, and still there when the page is loaded
// again.
const $ = (id) => document.getElementById(id);
const MOST = 4;
/** Points of a line that are stored for the next loading of the page. */
const STORED = 300;
const PLACE = "mexhat-runs";
let [kept, count] = [[], 0];

/** Those that are kept, the oldest first: `{ number, names, lanes, label, link }`. */
export const all = () => kept;

const percent = ({ accuracy: { values } }) => (values.length ? `${(100 * values.at(-1)).toFixed(0)} %` : "not judged");

/** The race as it is kept, or null where it has made no steps; `label` says what was special about it, `link` repeats
 * it, where it can. */
function run(lanes, names, { label, link }) {
  if (!lanes.some(({ loss }) => loss.steps.length > 1)) return null;
  return { names, lanes: lanes.map(({ loss, accuracy, step, diverged }) => ({ loss, accuracy, step, diverged })), label, link };
}

/** Keeps a race that has made steps. */
export function keep(lanes, names, race) {
  const made = run(lanes, names, race);
  if (!made) return;
  kept = [...kept, { number: ++count, ...made }].slice(-MOST);
  show();
}

export function forget() {
  kept = [];
  show();
}

/** A line with fewer points, the last among them. */
function thin({ steps, seconds, values }) {
  const every = Math.ceil(steps.length / STORED);
  const [short, times, heights] = [steps, seconds, values].map((list) => list.filter((_, i) => (list.length - 1 - i) % every === 0).map((v) => Number(v.toPrecision(5))));
  return { steps: short, seconds: times, values: heights };
}

/** Leaves the races, and the one that is under way, for this tab's next loading of the page. */
export function store(lanes, names, race) {
  const now = race && run(lanes, names, race);
  const runs = [...kept, ...(now ? [{ number: count + 1, ...now }] : [])].slice(-MOST);
  const small = runs.map((one) => ({ ...one, lanes: one.lanes.map((lane) => ({ ...lane, loss: thin(lane.loss), accuracy: thin(lane.accuracy) })) }));
  try {
    sessionStorage.setItem(PLACE, JSON.stringify(small));
  } catch {
    // Where nothing may be stored, nothing is.
  }
}

/** What was stored. */
export function restore() {
  try {
    kept = JSON.parse(sessionStorage.getItem(PLACE) ?? "[]");
    count = kept.at(-1)?.number ?? 0;
    show();
  } catch {
    kept = [];
  }
}

function show() {
  $("runs").hidden = !kept.length;
  $("runs-list").replaceChildren(...kept.map(({ number, names, lanes, label, link }) => {
    const item = Object.assign(document.createElement("li"), { value: number });
    const ends = lanes.map((lane, i) => `${names[i].toLowerCase()} ${percent(lane)}`).join(", ");
    item.append(`${label}: ${ends} after ${Math.max(...lanes.map(({ step }) => step))} steps. `, link ? Object.assign(document.createElement("a"), { href: link, textContent: "Its link" }) : "No link can carry its data.");
    return item;
  }));
}
