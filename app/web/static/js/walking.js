// Keys and mouse on a list of studies: a row opens as a whole, j and k walk, Enter opens, / searches.

import { isTyping } from "./shared.js";

const STUDY = "tr[data-study]";

const isElsewhere = (event) =>
  isTyping(event.target) ||
  event.ctrlKey ||
  event.metaKey ||
  event.altKey ||
  Boolean(document.querySelector("dialog[open]"));

/** `rows` is the list's body, or what stands in its place; `more` appends further rows, false where there are none. */
export function walkable(rows, more = async () => false) {
  rows?.addEventListener("click", (event) => {
    const row = event.target.closest(STUDY);
    if (!row || event.target.closest("a, button") || window.getSelection()?.toString()) return;
    row.querySelector("a.name").click();
  });

  async function walk(step) {
    let all = [...rows.querySelectorAll(STUDY)];
    if (all.length === 0) return;
    const current = all.findIndex((row) => row.classList.contains("here"));
    if (step > 0 && current === all.length - 1 && (await more())) all = [...rows.querySelectorAll(STUDY)];
    const next = current < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(current + step, 0), all.length - 1);
    all[current]?.classList.remove("here");
    all[next].classList.add("here");
    const link = all[next].querySelector("a.name");
    link.focus({ preventScroll: true });
    all[next].scrollIntoView({ block: "nearest" });
  }

  document.addEventListener("keydown", (event) => {
    if (isElsewhere(event)) return;
    const steps = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 };
    if (event.key === "/") {
      event.preventDefault();
      document.getElementById("search").focus();
    } else if (rows?.tagName === "TBODY" && event.key in steps) {
      event.preventDefault();
      void walk(steps[event.key]);
    } else if (event.key === "Enter" && document.activeElement === document.body) {
      rows?.querySelector("tr.here a.name")?.click();
    }
  });
}
