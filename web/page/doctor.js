// Loads the checks of the engine, which are no part of the page's own wasm, and runs them on a device of their own.
import init, { examine } from "./mexhat_web_doctor.js";

try {
  await init();
  const told = (share, finding) => postMessage({ share, finding: JSON.parse(finding) });
  postMessage({ told: JSON.parse(await examine(told)) });
} catch (error) {
  postMessage({ failed: String(error?.message ?? error) });
}
