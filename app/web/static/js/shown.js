// A study's page may have been made ahead of time, while the study before was read. It is covered then, and
// nobody has seen it. It is uncovered once the server has put the view on record and has found that it still
// says what is so: with the signature that leads to it, or when it is asked. One that does not is fetched anew.

import { csrf } from "./shared.js";

const room = document.getElementById("content");
const HERE = `/studies/${room?.dataset.study}`;
const ANSWERS_WITHIN = 5000;
const TOLD_WITHIN = 2000;
const LOADED_MS = 400; // the picture on the screen is finished before the next one is begun
const RENEWED_MS = 200; // what happens to a study often happens at once
let renewing = null;

const opened = () =>
  document.prerendering
    ? new Promise((resolve) => document.addEventListener("prerenderingchange", resolve, { once: true }))
    : Promise.resolve();

async function uncover() {
  await opened();
  const address = new URL(location.href);
  const signed = address.searchParams.get("signed");
  if (address.searchParams.get("shown") !== room.dataset.ahead && !(await isSame())) {
    location.reload();
    return new Promise(() => {}); // what waits for this page waits for ever: it is never shown
  }
  delete room.dataset.ahead;
  document.dispatchEvent(new Event("study-shown"));
  tidy();
  return signed;
}

/** What the signature before said of this page has been heard; the address is the page's own again. */
function tidy() {
  const address = new URL(location.href);
  if (!address.searchParams.has("shown")) return;
  address.searchParams.delete("shown");
  history.replaceState(history.state, "", address);
}

/** Asked where the signature before has not said so; the view is on record with it. */
async function isSame() {
  const answer = await fetch(`${HERE}/shown`, {
    method: "POST",
    headers: { "X-CSRF-Token": csrf(), Accept: "application/json" },
    body: new URLSearchParams({ page: room.dataset.ahead }),
    signal: AbortSignal.timeout(ANSWERS_WITHIN),
  }).catch(() => null);
  const said = answer?.ok ? await answer.json().catch(() => null) : null;
  return said?.same === true;
}

/** What was signed before, and what comes next, come some frames after the picture, which they must not delay. */
async function tellOnwards(signed) {
  for (const pause of [60, 300, 700, 1500, 3000, 10_000]) {
    await new Promise((resolve) => setTimeout(resolve, pause));
    const asked = performance.now();
    const answer = await fetch(`${HERE}/onwards${signed ? `?signed=${signed}` : ""}`, {
      signal: AbortSignal.timeout(TOLD_WITHIN),
    }).catch(() => null);
    const told = answer?.ok ? await answer.json().catch(() => null) : null;
    if (!told) continue;
    if (told.signed) document.querySelector(".words > .scrolling").insertAdjacentHTML("beforebegin", told.signed);
    leadTo(told);
    document.dispatchEvent(new CustomEvent("signature-told", { detail: asked }));
    return;
  }
}

/** Where a signature leads, and where key 3 and its link do; nowhere where nothing is left. */
function leadTo(told) {
  for (const name of ["next", "following"]) {
    const link = document.getElementById(`${name}-study`);
    if (!link || link.getAttribute("href") === told[name]) continue;
    link.toggleAttribute("data-ahead", false);
    if (told[name]) link.href = told[name];
    else link.removeAttribute("href");
    link.parentElement.hidden = !told.following;
  }
}

/** Something has happened to this study: where the reader would be led to it, that is asked anew. */
export function renewNext(id) {
  const leads = [...document.querySelectorAll("#next-study[href], #following-study[href]")];
  if (!isShown() || !leads.some((link) => link.pathname.endsWith(id))) return;
  clearTimeout(renewing);
  renewing = setTimeout(async () => {
    const answer = await fetch(`${HERE}/onwards`, { signal: AbortSignal.timeout(TOLD_WITHIN) }).catch(() => null);
    const told = answer?.ok ? await answer.json().catch(() => null) : null;
    if (!told) return;
    leadTo(told);
    markNext();
  }, RENEWED_MS);
}

/** True once the page may be seen, and what is done on it counts. */
export const isShown = () => room?.dataset.ahead === undefined;

const wasAhead = !isShown();

/** Resolves once the page is on the screen for its reader, with whether it was made ahead of time. */
export const shown = wasAhead
  ? uncover().then((signed) => {
      void tellOnwards(signed).then(markNext);
      return true;
    })
  : Promise.resolve(false);

// Browsers that can make the page that a marked link leads to (`Speculation-Rules` of this one). The picture stands at
// full depth first, and whoever signs nothing goes nowhere by signing.
function markNext() {
  if (!document.getElementById("correct")) return;
  new PerformanceObserver((list, observer) => {
    if (list.getEntriesByName("full-depth-painted").length === 0) return;
    observer.disconnect();
    setTimeout(() => document.querySelector("#next-study[href]")?.setAttribute("data-ahead", ""), LOADED_MS);
  }).observe({ type: "mark", buffered: true });
}
if (!wasAhead) {
  tidy();
  markNext();
}

// Who signs says what was made ahead, and is told whether that still says what is so.
document.addEventListener("formdata", ({ formData }) => {
  const link = document.querySelector("#next-study[data-ahead]");
  if (link && HTMLScriptElement.supports?.("speculationrules")) formData.set("ahead", link.pathname.split("/").pop());
});
