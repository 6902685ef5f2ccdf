// What is shown when something is missing or breaks.
const FAILURES = {
  "no-webgpu": ["This browser offers no WebGPU", "The networks train on the GPU through WebGPU, which is missing or off here. It needs https or localhost.", [
    "Chrome and Edge 113 or later: on by default; on Linux switch on chrome://flags/#enable-unsafe-webgpu.",
    "Firefox: 141 or later on Windows, 145 or later on Apple silicon; elsewhere set dom.webgpu.enabled in about:config.",
    "Safari 26 or later: on by default.",
  ]],
  "no-adapter": ["The browser found no GPU", "WebGPU is there, but no adapter for it.", [
    "Switch on hardware acceleration in the browser's settings and start it again.",
    "chrome://gpu or about:support says why an adapter is refused; a newer driver often helps.",
  ]],
  "device-lost": ["The GPU went away", "It did so several times: a driver reset, sleep, or another program. Training has stopped.", ["Try again starts a new race."]],
  usage: ["These settings do not work", "", ["Change the page's address or the settings; Try again leaves out what does not work."]],
  input: ["This file cannot be read", "It is damaged, or of another kind than its name says.", ["Choose another file; Try again starts a race without it."]],
  error: ["The GPU reported an error", "Training has stopped.", ["Try again starts a new race."]],
  wasm: ["Something in the page broke", "This is a fault of the page, not yours.", ["Load the page again; if it stays, please report the text below."]],
};

/** Failures after which there is something to see all the same. */
export const RECORDED = ["no-webgpu", "no-adapter"];

export function show(kind, message) {
  const [title, text, cures] = FAILURES[kind] ?? FAILURES.wasm;
  const box = document.getElementById("failure");
  box.querySelector("h2").textContent = title;
  box.querySelector("p").textContent = text;
  // Where there is a recording to see, it comes before the browsers' switches.
  box.querySelector("details").open = !RECORDED.includes(kind);
  box.querySelector("ul").replaceChildren(...cures.map((cure) => Object.assign(document.createElement("li"), { textContent: cure })));
  box.querySelector("pre").textContent = message;
  box.querySelector("pre").hidden = !message;
  box.dataset.kind = kind;
  box.hidden = false;
}
