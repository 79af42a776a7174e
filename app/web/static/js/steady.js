// What changes on the worklist by itself moves no row under the hand: the row under the pointer, else the one the
// keys have come to, else the first on a scrolled screen stays where it is, whatever grows, shrinks, comes or goes
// above it.

const rows = document.getElementById("rows");
const list = rows?.closest(".scroll");
let lowered = 0;

const top = (row) => row.getBoundingClientRect().top;
const isSeen = (row) => row.getBoundingClientRect().bottom > 0 && top(row) < innerHeight;

function held() {
  const under = rows?.querySelector("tr[data-study]:hover");
  if (!rows || under) return under;
  const here = rows.querySelector("tr.here");
  if (here && isSeen(here)) return here;
  return scrollY > 0 ? [...rows.querySelectorAll("tr[data-study]")].find(isSeen) : null;
}

/** Does the change, and then moves the page by as much as it has moved the row. */
export function steadily(change) {
  const id = held()?.id;
  const before = id ? top(document.getElementById(id)) : 0;
  change();
  const row = id ? document.getElementById(id) : null;
  if (!row) return;
  const moved = top(row) - before;
  if (moved > 0) {
    // A list shorter than the screen has nowhere to scroll to yet.
    document.body.style.minHeight = `${Math.max(document.body.offsetHeight, scrollY + innerHeight + moved)}px`;
  }
  scrollBy({ top: moved, behavior: "instant" });
  const short = before - top(row);
  if (short > 0.5) lower(lowered + short);
}

function lower(by) {
  lowered = by;
  list.style.marginTop = by ? `${by}px` : "";
}

/** The list begins where it began: its reader has taken in what is new. */
export function settle() {
  if (!list) return;
  lower(0);
  document.body.style.minHeight = "";
}
