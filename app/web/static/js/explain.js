// Explanations behind a question mark: one at a time, beside its word and inside the window, left by Esc or by a
// press elsewhere. Without scripts they open where they stand.

const GAP = 6;

const open = () => document.querySelector("details.explain[open]");

function place(details) {
  const box = details.querySelector(".explained");
  box.classList.add("placed");
  const mark = details.querySelector("summary").getBoundingClientRect();
  const { width, height } = box.getBoundingClientRect();
  const below = mark.bottom + GAP;
  const top = below + height <= innerHeight ? below : Math.max(mark.top - height - GAP, GAP);
  // Assigned one by one: the style attribute is forbidden by the Content-Security-Policy, the property is not.
  box.style.top = `${top}px`;
  box.style.left = `${Math.max(Math.min(mark.left, innerWidth - width - GAP), GAP)}px`;
}

document.addEventListener(
  "toggle",
  ({ target }) => {
    if (!(target instanceof HTMLElement) || !target.matches("details.explain") || !target.open) return;
    for (const other of document.querySelectorAll("details.explain[open]")) if (other !== target) other.open = false;
    place(target);
  },
  true,
);
document.addEventListener("pointerdown", ({ target }) => {
  const shown = open();
  if (shown && !shown.contains(target)) shown.open = false;
});
document.addEventListener(
  "keydown",
  (event) => {
    const shown = open();
    if (event.key !== "Escape" || !shown) return;
    event.stopPropagation();
    if (shown.contains(document.activeElement)) shown.querySelector("summary").focus();
    shown.open = false;
  },
  true,
);
// It stays beside its word.
document.addEventListener(
  "scroll",
  ({ target }) => {
    const shown = open();
    if (shown && target instanceof Node && target.contains(shown)) place(shown);
  },
  true,
);
window.addEventListener("resize", () => {
  const shown = open();
  if (shown) place(shown);
});
