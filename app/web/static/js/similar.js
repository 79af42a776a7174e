// Similar confirmed cases: nothing is fetched until the reader asks, because asking is on record.

import { isTyping } from "./shared.js";
import { isShown } from "./shown.js";
import { _ } from "./texts.js";

const panel = document.getElementById("similar");
const place = panel?.querySelector("[data-cases]");
let asked = false;

async function ask() {
  if (asked) return;
  asked = true;
  place.textContent = _("Looking for signed studies that are like this one …");
  place.setAttribute("aria-busy", "true");
  const answer = await fetch(panel.dataset.from, { headers: { Accept: "text/html" } }).catch(() => null);
  place.removeAttribute("aria-busy");
  if (answer?.ok) {
    const holder = document.createElement("template");
    holder.innerHTML = await answer.text();
    place.replaceChildren(holder.content);
  } else {
    place.textContent = _("They could not be looked up. Close and open this part to try again.");
    asked = false;
  }
}

panel?.addEventListener("toggle", () => {
  if (panel.open) void ask();
});

document.addEventListener("keydown", (event) => {
  if (!panel || !isShown() || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key !== "s" || isTyping(event.target) || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  panel.open = !panel.open;
  panel.querySelector("summary").focus();
});
