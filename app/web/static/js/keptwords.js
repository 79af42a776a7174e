// A question to a colleague and the reason for taking a study over are kept in this tab until the server has them:
// a session that ends, a page that is left or loaded anew costs nobody a sentence. For the same person only, and gone
// once they sign out (drafts.js).

import { draftOf, forgetDraft, keepDraft } from "./drafts.js";
import { shown } from "./shown.js";

const { study, revision } = document.getElementById("content").dataset;
const by = document.body.dataset.user;

function keepWordsOf(form) {
  const kept = `${study}:${form.getAttribute("action").split("/").pop()}`;
  const fields = [...form.querySelectorAll("textarea, select")];
  const text = form.querySelector("textarea");
  const before = draftOf(kept, { by, revision });
  // What was refused stands in the form already.
  if (before && !text.value) {
    for (const field of fields) if (before.words[field.name]) field.value = before.words[field.name];
    form.closest("details").open = true;
  }
  form.addEventListener("input", () => {
    const words = Object.fromEntries(fields.map((field) => [field.name, field.value]));
    if (text.value) keepDraft(kept, { by, revision, words });
    else forgetDraft(kept);
  });
  form.addEventListener("taken", () => forgetDraft(kept));
}

// Of a page made ahead of time the tab is known only once it is shown.
void shown.then(() => document.querySelectorAll("#ask form, #take-over form").forEach(keepWordsOf));
