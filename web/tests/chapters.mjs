// What the chapters of the article show, for the tests that drive them.
import { until } from "./chromium.mjs";

/** What a chapter shows after `act`, which changes its answer, or when it first comes in sight. */
export const teller = (page) => async (place, act) => {
  await page.evaluate((place) => (globalThis.last = mexhat.article()[place]), place);
  const look = () => page.evaluate((place) => document.getElementById(place).scrollIntoView(), place);
  await look();
  if (act) await act();
  await look();
  await until(page, ([place, moved]) => mexhat.article()[place] && (!moved || mexhat.article()[place] !== last), [place, Boolean(act)]);
  return page.evaluate((place) => JSON.parse(JSON.stringify(mexhat.article()[place], (_, v) => (ArrayBuffer.isView(v) ? Array.from(v) : v))), place);
};
