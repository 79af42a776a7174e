// What stands above the list and beside its parts: how many studies wait, and whether the network does.

import { ngettext } from "./texts.js";

export function setText(id, text) {
  const element = document.getElementById(id);
  if (element) element.textContent = text;
}

// Under a filter their number stands in its summary too.
export function setUnsigned(number) {
  setText("unsigned", number);
  setText(
    "passing",
    ngettext(
      "Filter: %(num)s study passes, views and columns",
      "Filter: %(num)s studies pass, views and columns",
      number,
    ),
  );
}

/** As another page of the list says it. */
export function setHead(page) {
  document.getElementById("stalled").hidden = page.getElementById("stalled").hidden;
  setUnsigned(Number(page.getElementById("unsigned").textContent.replace(/\D/g, "")));
  for (const id of ["unread", "due", "not-due"]) {
    const theirs = page.getElementById(id);
    if (theirs) setText(id, theirs.textContent);
  }
}
