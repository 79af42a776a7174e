// Undo: for so long as the server allows, a button and a key take back the signature just given. The time left
// is the server's; it counts down for the eye, and only its beginning and its end are spoken.

import { isTyping } from "./shared.js";
import { isShown } from "./shown.js";
import { _ } from "./texts.js";

const navigated = performance.getEntriesByType("navigation")[0]?.responseStart ?? 0;

let wanted = false; // the key was pressed before the offer was here

function offer(since) {
  const note = document.getElementById("just-signed");
  const form = document.getElementById("undo");
  if (!form) return;
  const words = note.querySelector("[data-undo-words]");
  const countdown = note.querySelector("[data-countdown]");
  const ends = since + Number(note.dataset.seconds) * 1000;

  function tick() {
    const left = ends - performance.now();
    if (left > 0) {
      countdown.textContent = _("%(seconds)s s", { seconds: Math.ceil(left / 1000) });
      setTimeout(tick, left % 1000 || 1000);
      return;
    }
    if (form.dataset.sent) return; // it is on its way; the server says whether it came in time
    const focused = form.contains(document.activeElement);
    form.remove();
    words.textContent = _("It can no longer be undone; amend it instead.");
    if (focused) {
      note.tabIndex = -1;
      note.focus({ preventScroll: true });
    }
  }

  tick();
  if (wanted) undo(form);
}

function undo(form) {
  const isSigning = document.querySelector("form[data-safely=signing][data-sent]"); // it is not this one that is meant
  if (!form.dataset.sent && !isSigning) form.requestSubmit();
}

// Heard last of all: what takes something back on the picture says so, and then the signature before it is not meant.
window.addEventListener("keydown", (event) => {
  if (event.key.toLowerCase() !== "z" || !(event.ctrlKey || event.metaKey) || event.shiftKey || event.altKey) return;
  if (!isShown() || event.repeat || event.defaultPrevented) return;
  if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
  const form = document.getElementById("undo");
  if (form) {
    event.preventDefault();
    undo(form);
  } else if (!document.getElementById("just-signed")) {
    wanted = true;
  }
});

// The note comes with the page, or right after one that was made ahead of time.
offer(navigated);
document.addEventListener("signature-told", ({ detail: asked }) => offer(asked));
