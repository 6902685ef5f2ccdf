// Races before this one: kept when another begins, and drawn faintly behind it.
const $ = (id) => document.getElementById(id);
const MOST = 4;
let [kept, count] = [[], 0];

/** Those that are kept, the oldest first: `{ number, names, lanes, label, link }`. */
export const all = () => kept;

const percent = ({ accuracy: { values } }) => (values.length ? `${(100 * values.at(-1)).toFixed(0)} %` : "not judged");

/** Keeps a race that has made steps; `label` says what was special about it, `link` repeats it. */
export function keep(lanes, names, { label, link }) {
  if (!lanes.some(({ loss }) => loss.steps.length > 1)) return;
  const lines = lanes.map(({ loss, accuracy, step }) => ({ loss, accuracy, step }));
  kept = [...kept, { number: ++count, names, lanes: lines, label, link }].slice(-MOST);
  show();
}

export function forget() {
  kept = [];
  show();
}

function show() {
  $("runs").hidden = !kept.length;
  $("runs-list").replaceChildren(...kept.map(({ number, names, lanes, label, link }) => {
    const item = Object.assign(document.createElement("li"), { value: number });
    const ends = lanes.map((lane, i) => `${names[i].toLowerCase()} ${percent(lane)}`).join(", ");
    item.append(`${label}: ${ends} after ${Math.max(...lanes.map(({ step }) => step))} steps. `, Object.assign(document.createElement("a"), { href: link, textContent: "Its link" }));
    return item;
  }));
}
