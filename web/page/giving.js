// Files that are dropped or chosen: a network, data to race on, or a photo for the chapters.
import * as own from "./own.js";
import * as settings from "./settings.js";
import { photo } from "./picture.js";

const $ = (id) => document.getElementById(id);
/** Most classes that are named in the page's words. */
const NAMED = 12;
let page = {};

/** Shows the share of the files that is read, 0 where it is not known; null when they are. */
export function progress(share) {
  $("own-progress").hidden = share === null;
  if (share) $("own-progress").value = share;
  else $("own-progress").removeAttribute("value");
}

function note(text, wrong = false) {
  $("own-note").textContent = text;
  $("own").toggleAttribute("data-refused", wrong);
  // Files are dropped anywhere.
  $("own").scrollIntoView({ block: "nearest" });
  progress(null);
}

/** Data that cannot be used harms nothing that is there. */
export function refused({ message }) {
  const still = page.mine() ? ` What was there before (${page.mine().name}) stays.` : "";
  note(`This data cannot be used: ${message.replace(/\.$/, "")}.${still}`, true);
}

/** Takes data in place of what there is; the race before stays in the charts. */
async function take(list) {
  const waiting = own.missing(list);
  if (waiting) return note(`${4 - waiting} of 4 files of MNIST are here.`);
  note("Reading …");
  progress(0);
  try {
    const data = await own.take(list, page.options(), progress);
    settings.offer(data.name);
    page.fresh();
    const [train, test] = [data.train, data.test].map(({ labels }) => labels.length.toLocaleString("en"));
    const names = data.classes.length > NAMED ? "" : ` (${data.classes.join(", ")})`;
    note(`${data.name}: ${data.classes.length} classes${names}, ${train} pictures of ${data.shape[1]} by ${data.shape[2]} to learn from and ${test} to judge by. They stay on this computer, so no link can carry them.`);
    $("own-found").textContent = data.lines.join("\n");
    page.status(`Ready to race on ${data.name}.`);
  } catch (error) {
    refused(error);
  }
}

/** Files, [[path, File]], by what they are. */
function given(list) {
  const [[path, file] = []] = list;
  const picture = file?.type.startsWith("image/");
  const network = list.find(([name]) => name.endsWith(".safetensors"));
  if (network) page.network(...network);
  else if (own.isData(list)) take(list);
  else if (picture && list.length === 1) {
    photo(file);
    $("article").scrollIntoView();
  } else if (picture) {
    note("Loose pictures have no classes: put them into a folder for each class, and drop the folder that holds these, or a zip of it.", true);
  } else if (path) {
    page.status(`${path} is neither a .safetensors file, nor data, nor a picture.`);
  }
}

/** Says where a file may be dropped, while one is over the page. */
const over = (on) => document.body.classList.toggle("dropping", on);

/** Makes the page take files; it gives its `options`, `fresh`, `mine`, `network` and `status`. */
export function connect(parts) {
  page = parts;
  for (const id of ["load", "folder"]) {
    $(id).addEventListener("change", ({ target }) => {
      try {
        given(own.chosen(target.files));
      } catch (error) {
        refused(error);
      }
      target.value = "";
    });
  }
  $("own-back").addEventListener("click", () => {
    settings.pick("data", "glyphs");
    const { name } = own.current();
    page.fresh();
    note(`${name} is still here: choose it as Data in Settings.`);
    page.status("Ready. The digits are drawn by the page itself.");
  });
  addEventListener("dragover", (event) => {
    event.preventDefault();
    over(true);
  });
  addEventListener("dragleave", ({ relatedTarget }) => relatedTarget || over(false));
  addEventListener("drop", (event) => {
    event.preventDefault();
    over(false);
    own.dropped(event.dataTransfer).then(given).catch(refused);
  });
}
