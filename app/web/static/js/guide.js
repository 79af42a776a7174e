// A walk over the study page for whoever is new to it: it points and explains. Whatever key is pressed in it, nothing is
// signed; Esc leaves it from anywhere. That it was seen, or is not wanted, is kept by the server.

import { csrf } from "./shared.js";
import { _ } from "./texts.js";

const guide = document.getElementById("guide");
const part = (name) => guide.querySelector(`[data-guide-${name}]`);
let steps = [];
let at = 0;
let before = null;

const targetOf = (step) => (step.dataset.at ? document.querySelector(step.dataset.at) : null);
const isThere = (step) => !step.dataset.at || targetOf(step)?.checkVisibility();
const isWalking = () => !part("walk").hidden;

function point(target) {
  for (const other of document.querySelectorAll(".guided")) other.classList.remove("guided");
  target?.classList.add("guided");
  target?.scrollIntoView({ block: "nearest", behavior: "instant" });
}

function show(index) {
  at = index;
  part("says").replaceChildren(steps[at].content.cloneNode(true));
  part("at").textContent = _("Step %(at)s of %(all)s", { at: at + 1, all: steps.length });
  part("back").disabled = at === 0;
  part("next").textContent = at + 1 < steps.length ? _("Next") : _("Done");
  part("rests").hidden = true;
  point(targetOf(steps[at]));
}

function start() {
  document.getElementById("help")?.close();
  before = document.activeElement;
  steps = [...guide.querySelectorAll("template")].filter(isThere);
  guide.hidden = part("offer").hidden = part("walk").hidden = false;
  part("offer").hidden = true;
  show(0);
  part("next").focus({ preventScroll: true });
}

function leave() {
  const inside = guide.contains(document.activeElement);
  part("walk").hidden = guide.hidden = true;
  point(null);
  if (inside) (before?.isConnected && !guide.contains(before) && before !== document.body ? before : document.querySelector("#viewer canvas"))?.focus({ preventScroll: true });
  void fetch("/help/guide", {
    method: "POST",
    keepalive: true,
    headers: { "X-CSRF-Token": csrf(), Accept: "application/json" },
    body: new URLSearchParams(),
  }).catch(() => null); // then it is offered once more
}

if (guide) {
  document.querySelectorAll("[data-guide-start]").forEach((button) => button.addEventListener("click", start));
  part("back").addEventListener("click", () => show(Math.max(at - 1, 0)));
  part("next").addEventListener("click", () => (at + 1 < steps.length ? show(at + 1) : leave()));
  part("leave").addEventListener("click", leave);
  guide.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    leave();
  });
  guide.addEventListener("keydown", (event) => {
    if (["Escape", "?"].includes(event.key)) return;
    event.stopPropagation(); // whatever the page would do at this key, it is not meant
    if (isWalking() && !["Tab", "Enter", " ", "Shift"].includes(event.key)) part("rests").hidden = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && isWalking() && !document.querySelector("dialog[open]")) leave();
  });
}
