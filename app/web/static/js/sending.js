// Forms whose work must not be lost with the connection: signing, undoing, taking over, asking. They are sent without
// leaving the page, and again for as long as the server does not answer; the server does the work once. Whatever
// it refuses is sent as the browser would, so that the refusal is a page with all that was filled in.

import { _ } from "./texts.js";

const LOST = {
  signing: _("The connection was lost while signing."),
  undoing: _("The connection was lost while undoing."),
  "taking over": _("The connection was lost while taking over."),
  asking: _("The connection was lost while asking."),
};
const note = document.getElementById("unsent");
const PAUSES = [1000, 2000, 4000, 8000, 15_000];
const ANSWERS_WITHIN = 20_000;
const KEPT_ALIVE = 60_000; // browsers refuse more than 64 KiB of a request that outlives its page

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!note || event.defaultPrevented || !form.matches("[data-safely]")) return;
  event.preventDefault();
  void send(form, new URLSearchParams(new FormData(form)));
});

/** Whoever leaves while something is unsent is asked first: they may believe that it was signed. */
const stay = (event) => event.preventDefault();

async function send(form, body) {
  const keepalive = body.toString().length < KEPT_ALIVE; // a key pressed too early does not call it back
  for (let tried = 0; ; tried += 1) {
    const answer = await fetch(form.getAttribute("action"), {
      method: "POST",
      body,
      keepalive,
      headers: { Accept: "application/json" },
      signal: AbortSignal.timeout(ANSWERS_WITHIN),
    }).catch(() => null);
    const next = answer?.ok ? await answer.json().catch(() => null) : null;
    if (next) {
      window.removeEventListener("beforeunload", stay);
      form.dispatchEvent(new Event("taken"));
      location.assign(next.next);
      return;
    }
    if (answer && !answer.ok && answer.status < 500) {
      window.removeEventListener("beforeunload", stay);
      form.submit();
      return;
    }
    note.querySelector("[data-unsent-what]").textContent = LOST[form.dataset.safely] ?? LOST.signing;
    note.hidden = false;
    window.addEventListener("beforeunload", stay);
    await whatComesFirst(PAUSES[Math.min(tried, PAUSES.length - 1)]);
  }
}

/** The pause is over, the browser has a connection again, or the reader wants it now. */
function whatComesFirst(pause) {
  return new Promise((resolve) => {
    const now = note.querySelector("[data-try-now]");
    const over = () => {
      clearTimeout(timer);
      window.removeEventListener("online", over);
      now.removeEventListener("click", over);
      resolve();
    };
    const timer = setTimeout(over, pause);
    window.addEventListener("online", over);
    now.addEventListener("click", over);
  });
}
