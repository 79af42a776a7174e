// A study's page may have been made ahead of time, while the study before was read. It is covered then, and
// nobody has seen it. When its reader comes to it, the server is asked whether it still says what is so, and
// puts the view on record; only then it is uncovered. A page that is out of date is fetched as any other.

import { csrf } from "./shared.js";

const room = document.getElementById("content");
const LOADED_MS = 400; // the picture on the screen is finished before the next one is begun

const opened = () =>
  document.prerendering
    ? new Promise((resolve) => document.addEventListener("prerenderingchange", resolve, { once: true }))
    : Promise.resolve();

async function uncover() {
  await opened();
  const asked = performance.now();
  const signed = new URLSearchParams(location.search).get("signed") ?? "";
  const answer = await fetch(`/studies/${room.dataset.study}/shown`, {
    method: "POST",
    headers: { "X-CSRF-Token": csrf(), Accept: "application/json" },
    body: new URLSearchParams({ page: room.dataset.ahead, signed }),
  }).catch(() => null);
  const said = answer?.ok ? await answer.json().catch(() => null) : null;
  if (!said?.same) {
    location.reload();
    return new Promise(() => {}); // what waits for this page waits for ever: it is never shown
  }
  if (said.signed) document.querySelector(".words > .scrolling").insertAdjacentHTML("beforebegin", said.signed);
  leadTo(said.next);
  delete room.dataset.ahead;
  document.dispatchEvent(new Event("study-shown"));
  return asked;
}

/** Where key 3 and the link go; nowhere where nothing is left. */
function leadTo(next) {
  const link = document.getElementById("next-study");
  if (!link) return;
  link.toggleAttribute("data-ahead", false);
  if (next) link.href = next;
  else link.removeAttribute("href");
  link.parentElement.hidden = !next;
}

/** True once the page may be seen, and what is done on it counts. */
export const isShown = () => room?.dataset.ahead === undefined;

/** When the server was asked, on the page's clock, once the page is shown; 0 where it was fetched to be shown. */
export const shown = isShown() ? Promise.resolve(0) : uncover();

// Browsers that can make the page that a marked link leads to (`Speculation-Rules` of this one). The picture stands at
// full depth first, and whoever signs nothing goes nowhere by signing.
const marked = () => setTimeout(() => document.querySelector("#next-study[href]")?.setAttribute("data-ahead", ""), LOADED_MS);
if (document.getElementById("correct")) void shown.then(() => {
  const stands = new PerformanceObserver((list, observer) => {
    if (list.getEntriesByName("full-depth-painted").length === 0) return;
    observer.disconnect();
    marked();
  });
  stands.observe({ type: "mark", buffered: true });
});
