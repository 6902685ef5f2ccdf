// The article: asks the engine about the picture, chapter by chapter, for those that are in sight.
import { ask, onRecorded } from "./study.js";
import * as picture from "./picture.js";
import * as neighbours from "./chapters/neighbours.js";
import * as descent from "./chapters/descent.js";
import * as covariance from "./chapters/covariance.js";
import * as newton from "./chapters/newton.js";
import * as kernel from "./chapters/kernel.js";
import * as cost from "./chapters/cost.js";

/** Each has `place` (of its section), `question`, `show`, `draw`, and `connect` for its controls. */
const chapters = [neighbours, descent, covariance, newton, kernel].map((chapter) => ({
  ...chapter, section: document.getElementById(chapter.place), seen: false, stale: true, found: null,
}));
let busy = false;

/** What the chapters show, for tests. */
export const state = () => Object.fromEntries(chapters.map(({ place, found }) => [place, found]));
export const viewer = () => ({ ...kernel.state(), camera: picture.live() });

async function work() {
  if (busy) return;
  busy = true;
  try {
    await picture.begin();
    for (let next; (next = chapters.find((one) => one.seen && one.stale && picture.current())); ) await tell(next);
  } catch (error) {
    for (const one of chapters) refuse(one, error);
  }
  busy = false;
  // A camera's next frame, when all that is in sight has seen the last one.
  if (picture.live() && chapters.some((one) => one.seen)) picture.frame();
}

async function tell(chapter) {
  const of = picture.current();
  const [name, ...rest] = chapter.question();
  chapter.stale = false;
  chapter.section.setAttribute("aria-busy", "true");
  try {
    const found = await ask(name, of.pixels, of.width, of.height, ...rest);
    if (chapter.stale && !picture.live()) return;
    chapter.found = found;
    chapter.section.querySelector(".refusal").hidden = true;
    chapter.section.classList.add("told");
    chapter.show(found, of);
  } catch (error) {
    refuse(chapter, error);
  } finally {
    chapter.section.setAttribute("aria-busy", "false");
  }
}

/** What was seen of another picture would stand beside a refusal: without `told` the style hides it. */
function refuse(chapter, error) {
  const line = chapter.section.querySelector(".refusal");
  line.textContent = error.message;
  line.hidden = false;
  chapter.found = null;
  chapter.section.classList.remove("told");
}

function again(chapter) {
  chapter.stale = true;
  work();
}

const sight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) chapters.find((one) => one.section === target).seen = isIntersecting;
  if (chapters.some((one) => one.seen)) work();
}, { rootMargin: "200px" });

for (const chapter of chapters) {
  chapter.section.querySelector(".words").insertAdjacentHTML("beforeend", '<p class="refusal" role="status" hidden></p>');
  chapter.connect(() => again(chapter));
  sight.observe(chapter.section);
}
picture.onPicture((of) => {
  for (const chapter of chapters) {
    chapter.stale = true;
    if (!of) chapter.section.classList.remove("told");
  }
  if (of) work();
});

/** Leaves a control what was recorded, at the nearest of it. */
function limit(id, allowed) {
  const control = document.getElementById(id);
  if (control.tagName === "SELECT") {
    for (const option of control.options) option.disabled = !allowed.includes(option.value);
    if (control.selectedOptions[0].disabled) control.value = allowed[0];
  } else [control.min, control.max, control.step] = allowed;
  control.dispatchEvent(new Event("input"));
}

const WHY = { "no-webgpu": "this browser offers no WebGPU", "no-adapter": "the browser found no GPU" };

onRecorded((why, controls) => {
  document.getElementById("origin").textContent = `Recorded: ${WHY[why]}, so what the chapters show was computed by the engine elsewhere, for two pictures and some settings. With WebGPU it is computed here and now, from any picture. The two:`;
  for (const heading of document.querySelectorAll(".chapter h3")) heading.insertAdjacentHTML("beforeend", ' <span class="recorded">recorded</span>');
  for (const [id, allowed] of Object.entries(controls)) limit(id, allowed);
  picture.onlyRecorded();
  cost.onlyRecorded();
});

const redraw = () => chapters.forEach((chapter) => chapter.found && chapter.draw());
let soon = 0;
addEventListener("resize", () => {
  cancelAnimationFrame(soon);
  soon = requestAnimationFrame(redraw);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
