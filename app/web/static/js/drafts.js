// What a reader has filled in of a correction survives the page in this tab, also where the server cannot be
// reached: a session that ends, or a study that must be loaded anew, costs nobody a sentence. It is for the same
// person, and gone from the tab once they sign or sign out. What the server keeps: keeping.js.

const PREFIX = "draft:";

function storage(use) {
  try {
    return use(sessionStorage);
  } catch {
    return null; // Storage is switched off or full: the form itself is all there is.
  }
}

export function keepDraft(study, draft) {
  storage((kept) => kept.setItem(PREFIX + study, JSON.stringify(draft)));
}

export function forgetDraft(study) {
  storage((kept) => kept.removeItem(PREFIX + study));
}

export function forgetAllDrafts() {
  storage((kept) => {
    for (const key of Object.keys(kept)) if (key.startsWith(PREFIX)) kept.removeItem(key);
  });
}

/** The draft of this study by this person; another's is deleted, and so is one that was signed. */
export function draftOf(study, { by, revision }) {
  const draft = storage((kept) => JSON.parse(kept.getItem(PREFIX + study)));
  if (!draft) return null;
  // Sent and no longer the same study: it was signed, or refused with all that was filled in still shown.
  if (draft.by === by && !(draft.sent && draft.revision !== revision)) return draft;
  forgetDraft(study);
  return null;
}

function forgetSigned() {
  const signed = new URLSearchParams(location.search).get("signed");
  if (signed) forgetDraft(signed);
}

// A page made ahead of time gets its tab, and what its address says was signed, when its reader comes to it.
if (document.prerendering) document.addEventListener("prerenderingchange", forgetSigned, { once: true });
else forgetSigned();
