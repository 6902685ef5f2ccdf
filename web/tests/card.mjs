// Draws the picture that goes with links to the page: node card.mjs DIST OUT.png; OUT belongs into web/page/card.png.
import { GPU, open, serve, until } from "./chromium.mjs";

const [dist, out] = process.argv.slice(2);
const { server, address } = await serve(dist);
const { browser, page } = await open(GPU, address, { viewport: { width: 1200, height: 630 } });
await page.selectOption("#view-k", "7");
await page.evaluate(() => document.getElementById("hat").scrollIntoView());
await until(page, () => mexhat.viewer().looks > 0);
await page.evaluate(() => {
  const [kernel, picture, edges] = ["view-kernel", "view-original", "view-deconvolved"].map((id) => document.getElementById(id));
  const words = document.createElement("div");
  words.innerHTML = "<h1>mexhat</h1><p>Two networks learn to read,<br>live, on your GPU.<br>One whitens what it sees,<br>as your eye does.</p>";
  for (const [element, style] of [
    [words, { position: "absolute", left: "60px", top: "60px" }],
    [words.firstChild, { fontSize: "92px", margin: 0 }],
    [words.lastChild, { fontSize: "34px", lineHeight: 1.35, margin: "18px 0" }],
    [kernel, { position: "absolute", right: "60px", top: "60px", width: "510px", height: "510px", maxWidth: "none", aspectRatio: 1, imageRendering: "pixelated", borderRadius: "16px" }],
    [picture, { position: "absolute", left: "60px", bottom: "60px", width: "200px", borderRadius: "10px" }],
    [edges, { position: "absolute", left: "280px", bottom: "60px", width: "200px", borderRadius: "10px" }],
  ]) Object.assign(element.style, style);
  document.body.style.maxWidth = "none";
  document.body.replaceChildren(words, kernel, picture, edges);
});
await page.screenshot({ path: out });
await browser.close();
server.close();
