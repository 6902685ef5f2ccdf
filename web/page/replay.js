// Where no GPU is to be had: recorded races, played and marked as such.
/** Steps in a second. */
const SPEED = 12;
let file = null;

/** The recorded races: `{ title, rate, names, lanes }` each; none where they cannot be loaded. */
export const races = () => (file ??= fetch("recorded.json").then((answer) => (answer.ok ? answer.json() : []), () => []));

/** Plays a race into `add(events)`, as the page's own race would. Returns what ends it. */
export function replay({ lanes }, add) {
  const events = lanes.flatMap(({ steps, seconds, values, losses, clock }, lane) => [
    ...losses.map((loss, i) => ({ event: "step", lane, step: i + 1, seconds: clock[i], loss, ms: null, recorded: true })),
    ...steps.map((step, i) => ({ event: "eval", lane, step, seconds: seconds[i], accuracy: values[i], quick: false, recorded: true })),
  ]).sort((a, b) => a.step - b.step);
  let at = 0;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const begun = performance.now();
  const timer = setInterval(() => {
    const until = still ? Infinity : ((performance.now() - begun) / 1000) * SPEED;
    const from = at;
    while (at < events.length && events[at].step <= until) at += 1;
    if (at > from) add(events.slice(from, at));
    if (at === events.length) clearInterval(timer);
  }, 100);
  return () => clearInterval(timer);
}
