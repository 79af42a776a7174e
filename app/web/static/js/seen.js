// What nobody could see is not signed. A form that signs is sent once the radiograph has been on the screen for half a
// second; where none can be shown, half a second after that is plain. So the second press of a double click, which finds
// the next study under the pointer, does nothing. This is no module: it is here before the page's first button.
{
  const SEEN_MS = 500;
  const NO_PICTURE_MS = 10_000;
  const COVERED_MS = 8000;
  const wasAhead = () => document.getElementById("content")?.dataset.ahead !== undefined;
  const afterHalfASecond = (then) => setTimeout(then, SEEN_MS);
  let ready = false;
  let isSeen = false;
  let moved = null;

  function mark() {
    for (const button of document.querySelectorAll("[data-signs]")) {
      if (ready && !moved) button.removeAttribute("aria-disabled");
      else button.setAttribute("aria-disabled", "true");
    }
  }

  // The keys that sign go by this alone. A preview whose full depth never came is signed by the button, knowingly.
  function wakeKeys() {
    const isWhole = document.getElementById("viewer").dataset.main !== "preview-only";
    document.getElementById("content").toggleAttribute("data-seen", isSeen && isWhole);
  }

  function letSign() {
    if (!ready) document.dispatchEvent(new Event("study-seen"));
    ready = true;
    mark();
  }

  document.addEventListener("submit", (event) => {
    if (!event.target.querySelector("[data-signs]") || (ready && !(moved && event.submitter))) return;
    event.preventDefault();
    event.stopPropagation();
  }, true);

  // A button that comes long before the scripts that end its sleep says from the first that it sleeps.
  const coming = new MutationObserver(mark);
  coming.observe(document, { childList: true, subtree: true });

  document.addEventListener("DOMContentLoaded", () => {
    const viewer = document.getElementById("viewer");
    coming.disconnect();
    // Without scripts the button sends the correction's fields along; with them it is its own form's (study.js).
    document.querySelector("#confirm button")?.removeAttribute("form");
    mark();
    const shown = wasAhead() && new Promise((resolve) => document.addEventListener("study-shown", resolve, { once: true }));
    const painted = new Promise((resolve) => {
      if (viewer.dataset.painted) resolve();
      else viewer.addEventListener("radiograph-painted", resolve, { once: true });
    });
    const failed = new Promise((resolve) => {
      const look = () => {
        wakeKeys();
        if (viewer.dataset.main === "failed") resolve();
      };
      new MutationObserver(look).observe(viewer, { attributeFilter: ["data-main"] });
      look();
    });
    // What was painted on a page that was made ahead of time is on the screen from the first frame after it is shown.
    const onScreen = () => (shown ? new Promise(requestAnimationFrame) : null);
    void Promise.all([painted, shown]).then(onScreen).then(() => afterHalfASecond(() => {
      isSeen = true;
      wakeKeys();
      letSign();
    }));
    void Promise.all([failed, shown]).then(() => afterHalfASecond(letSign));
    void Promise.resolve(shown).then(() => setTimeout(letSign, NO_PICTURE_MS));
  });

  // What comes back as it was left, because its reader went back to it, is on the screen from now on and not since then.
  window.addEventListener("pageshow", ({ persisted }) => {
    if (!persisted || !ready) return;
    const wasSeen = isSeen;
    isSeen = ready = false;
    wakeKeys();
    mark();
    requestAnimationFrame(() => afterHalfASecond(() => {
      isSeen = wasSeen;
      wakeKeys();
      letSign();
    }));
  });

  // The note of the signature before comes in above the buttons: what slides under a pointer was not aimed at.
  document.addEventListener("signature-told", () => {
    clearTimeout(moved);
    moved = afterHalfASecond(() => {
      moved = null;
      mark();
    });
    mark();
  });

  // A page that was made ahead of time and cannot be uncovered, for whatever reason, is fetched as any other.
  const orElse = () => setTimeout(() => wasAhead() && location.reload(), COVERED_MS);
  if (document.prerendering) document.addEventListener("prerenderingchange", orElse, { once: true });
  else orElse();
}
