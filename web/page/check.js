// "Check this GPU": holds what the adapter computes against references, and shows what came of it.
const $ = (id) => document.getElementById(id);
const CURE = "Do not trust what is trained on this GPU in this browser. Update the GPU's driver and the browser, start it anew and check again; until then take another browser or GPU. The report helps mexhat's authors.";
const MARKS = { ok: "ok", wrong: "WRONG", untried: "not tried" };

let worker = null;
let report = null;

function note(text, verdict = "") {
  $("check-note").textContent = text;
  $("check-note").dataset.verdict = verdict;
}

function end(text, verdict) {
  worker?.terminate();
  worker = null;
  $("check").textContent = "Check this GPU";
  $("check-progress").hidden = true;
  $("check-now").textContent = "";
  note(text, verdict);
}

/** Ends a check that is under way, for a race needs the GPU. */
export function yieldTo(what) {
  if (worker) end(`The check was stopped: ${what} needs the GPU. Press again when it is paused.`);
}

function row({ name, verdict, detail }) {
  const line = $("check-table").insertRow();
  line.className = verdict;
  for (const text of [MARKS[verdict], name, detail]) line.insertCell().textContent = text;
}

function finish({ summary, wrong, report: whole }) {
  report = whole;
  $("check-save").disabled = false;
  if (!wrong) return end(`All is well: this GPU computes what it should (${summary}).`, "ok");
  const first = whole.findings.filter(({ verdict }) => verdict === "wrong").slice(0, 5).map(({ name, detail }) => `${name}: ${detail}`);
  end(`${wrong} ${wrong === 1 ? "check" : "checks"} went wrong (${summary}): ${first.join("; ")}. ${CURE}`, "wrong");
}

function begin() {
  report = null;
  $("check-table").replaceChildren();
  $("check-report").hidden = false;
  $("check-save").disabled = true;
  $("check").textContent = "Stop the check";
  $("check-progress").hidden = false;
  $("check-progress").removeAttribute("value");
  note("Every operation is held against plain loops on the CPU, which takes a minute or more …");
  worker = new Worker("doctor.js", { type: "module" });
  worker.onmessage = ({ data: { share, finding, told, failed } }) => {
    if (failed !== undefined) return end(`The GPU could not be checked: ${failed}`, "failed");
    if (told) return finish(told);
    row(finding);
    $("check-progress").value = share;
    $("check-now").textContent = `${(100 * share).toFixed(0)} %: ${finding.name}`;
  };
  worker.onerror = ({ message }) => end(`The checks could not be run: ${message ?? "they could not be loaded"}`, "failed");
}

/** Makes the buttons work; `racing` says whether networks are training, `gpu` what the browser calls it; `save` gives
 * the visitor a file. */
export function connect(racing, gpu, save) {
  $("check").addEventListener("click", () => {
    if (worker) end("The check was stopped.");
    else if (racing()) note("Pause the race first: both would wait for the same GPU.", "refused");
    else begin();
  });
  $("check-save").addEventListener("click", () => save("doctor.json", new Blob([JSON.stringify({ browser: navigator.userAgent, gpu: gpu(), ...report }, null, 1)], { type: "application/json" })));
}
