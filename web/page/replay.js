// Where no GPU is to be had: a recorded race, played and marked as one.
/** Steps in a second. */
const SPEED = 12;

/** Plays a recording into `add(events)`, as the page's own race would, and tells `said` what is shown. Returns what ends it. */
export async function replay(add, said) {
  const answer = await fetch("recorded.json").catch(() => null);
  if (!answer?.ok) return () => {};
  const { title, lanes } = (await answer.json())[1];
  const events = lanes.flatMap(({ steps, seconds, values, losses, clock }, lane) => [
    ...losses.map((loss, i) => ({ event: "step", lane, step: i + 1, seconds: clock[i], loss, ms: null, recorded: true })),
    ...steps.map((step, i) => ({ event: "eval", lane, step, seconds: seconds[i], accuracy: values[i], quick: false, recorded: true })),
  ]).sort((a, b) => a.step - b.step);
  said(`Below is a recording, not your computer: ${title.replace("recorded: ", "")}.`);
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
