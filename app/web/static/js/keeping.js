// What is filled in of a correction is kept until it is signed: in this tab at once (drafts.js), and by the server
// a second after the last change and when the page is left, so that it is there in another browser too. Of the two
// copies the newer is filled in again. Nothing is sent before it is known what the server keeps, and nothing while
// the form is as it came.

import { loadAnew } from "./anew.js";
import { draftOf, forgetDraft, keepDraft } from "./drafts.js";
import { csrf } from "./shared.js";
import { shown } from "./shown.js";

const AFTER_MS = 1000;
const AGAIN_MS = 10_000;
const ANSWERS_WITHIN = 5000;
const ENDS = [401, 403, 404, 409]; // nobody is signed in, or may; the study is gone; it was signed since
const KEPT_ALIVE = 60_000; // browsers refuse more than 64 KiB of a request that outlives its page
const AROUND_A_FIELD = 200; // what a form has around the value of each

const room = document.getElementById("content");
const form = document.getElementById("correct");
const note = document.getElementById("restored");
const study = room.dataset.study;
const address = `/studies/${study}/draft`;
const mine = { by: document.body.dataset.user, revision: room.dataset.revision };

let came = ""; // the form as the server made it
let given = null; // what was filled in for the reader: where it says otherwise now, they wrote it
let isKnown = false; // what the server keeps
let keepsOne = false;
let isDue = false; // the reader has written what the server does not have
let isOver = false; // whatever is sent from now on is refused
let sending = null;
let learning = null;
let tab = null; // what this tab had kept when the page came
let timer = 0;

const tenth = (value) => Math.round(value * 10) / 10;

/** As the viewer writes them (viewer/src/marks.ts), so that the same marks are the same text. */
function marksIn(text) {
  let found = null;
  try {
    found = JSON.parse(text || "[]");
  } catch {
    // What cannot be read is refused when it is signed.
  }
  if (!Array.isArray(found)) return [];
  return found.map(({ image, finding, shape, x, y, width, height }) => {
    const [left, right, top, bottom] = [x, x + width, y, y + height].map(tenth);
    const size = (from, to) => Math.max(tenth(to - from), 1);
    return { image, finding, shape, x: left, y: top, width: size(left, right), height: size(top, bottom) };
  });
}

function words() {
  const checked = [...form.querySelectorAll("input[type=radio]:checked")];
  return {
    findings: checked.map(({ name, value }) => [name, value]),
    comment: form.querySelector("textarea").value,
    marks: JSON.stringify(marksIn(form.querySelector("[data-marks]").value)),
  };
}

const sameWords = (one, other) => JSON.stringify(one) === JSON.stringify(other);
const isAsItCame = () => JSON.stringify(words()) === came;
const filledIn = (more) => ({ ...mine, ...words(), at: Date.now(), ...more });

function begin() {
  given = words();
  came = JSON.stringify(given);
  tab = draftOf(study, mine);
  const refused = room.querySelector(".act [data-refilled]"); // then the server has filled the form in again
  if (refused) {
    came = "";
    isKnown = true;
    written();
  } else if (tab && !tab.kept) restore(tab);
  form.addEventListener("input", written);
  form.addEventListener("submit", () => {
    keepDraft(study, filledIn({ sent: true }));
  });
  note.querySelector("[data-discard]").addEventListener("click", () => void discard());
  // Whoever signs out has signed out by the time the page is hidden.
  document.addEventListener("submit", leave, true);
  document.addEventListener("visibilitychange", () => document.hidden && leave());
  addEventListener("pagehide", leave);
  if (refused) known();
  else void learn().then((isAnswered) => isAnswered || withoutServer()).finally(known);
}

/** What was kept is filled in, or cannot be had: a confirmation waits for that (study.js). */
function known() {
  form.dataset.known = "";
  form.dispatchEvent(new Event("draft-known"));
}

/** The tab's copy is all there is. */
function withoutServer() {
  if (tab?.kept) restore(tab);
  else if (tab) isDue = true;
  soon(AGAIN_MS);
}

/** Filled in for the reader; what they have written meanwhile stays, beside it where there is room for both. */
function restore({ findings, comment, marks, revision, moved = revision !== mine.revision, changes = [] }) {
  const now = words();
  const before = new Map(given.findings);
  const stated = new Map(now.findings);
  for (const [name, value] of findings) {
    const inputs = [...form.querySelectorAll("input[type=radio]")];
    const input = inputs.find((one) => one.name === name && one.value === value);
    if (input && stated.get(name) === before.get(name)) input.checked = true;
  }
  form.querySelector("textarea").value = bothOf(comment, now.comment);
  const drawn = now.marks === given.marks ? [] : JSON.parse(now.marks);
  const all = [...marksIn(marks), ...drawn].map((mark) => JSON.stringify(mark));
  for (const field of document.querySelectorAll("[data-marks]")) field.value = `[${[...new Set(all)].join(",")}]`;
  document.getElementById("viewer").dispatchEvent(new Event("marks-given"));
  document.getElementById("correction").open = true;
  document.querySelector("[data-correct]")?.setAttribute("aria-expanded", "true");
  note.querySelector("[data-moved]").hidden = !moved;
  note.querySelector("[data-changes]").textContent = changes.join(" ");
  note.hidden = false;
  given = words();
}

function bothOf(comment, own) {
  if (own === given.comment) return comment;
  return comment === given.comment || own.includes(comment) ? own : `${comment}\n${own}`;
}

function written() {
  if (isAsItCame()) forgetDraft(study);
  else keepDraft(study, filledIn());
  isDue = true;
  soon(AFTER_MS);
}

function soon(pause) {
  clearTimeout(timer);
  timer = setTimeout(() => void send(), pause);
}

function leave() {
  if (isDue && isKnown && !isOver) void post();
}

async function send() {
  if (!isDue || isOver) return;
  if (sending) return soon(AFTER_MS);
  if (isKnown || (await learn())) await post();
  else soon(AGAIN_MS);
}

async function post() {
  clearTimeout(timer);
  const { findings, comment, marks } = words();
  const nothing = isAsItCame();
  isDue = false;
  if (nothing && !keepsOne) return;
  const fields = [["revision", mine.revision], ["comment", comment], ["marks", marks], ...findings];
  // Not encoded as an address is, where a Chinese character takes nine bytes and not three.
  const body = new FormData();
  if (!nothing) for (const [name, value] of fields) body.append(name, value);
  const size = new Blob(fields.flat()).size + AROUND_A_FIELD * fields.length;
  sending = ask({ method: "POST", body, keepalive: size < KEPT_ALIVE });
  const answer = await sending;
  sending = null;
  if (answer?.ok) {
    keepsOne = !nothing;
    const copy = draftOf(study, mine);
    if (copy && !isDue && !copy.sent) keepDraft(study, { ...copy, kept: true });
  } else if (!answer || answer.status >= 500) {
    isDue = true;
    soon(AGAIN_MS);
  }
}

async function ask(how = {}) {
  const headers = { Accept: "application/json", "X-CSRF-Token": csrf() };
  const signal = AbortSignal.timeout(ANSWERS_WITHIN);
  const answer = await fetch(address, { headers, signal, ...how }).catch(() => null);
  if (ENDS.includes(answer?.status)) isOver = true;
  // The words of the page stay where they are; signing would lead to the sign-in, and back to this study.
  if (answer?.status === 401) document.getElementById("ended").hidden = false;
  return answer;
}

function learn() {
  learning ??= askWhatIsKept().finally(() => {
    learning = null;
  });
  return learning;
}

/** True once it is known what the server keeps, and the newer of the two copies is filled in. */
async function askWhatIsKept() {
  const asked = Date.now();
  const answer = await ask();
  const told = answer?.ok ? await answer.json().catch(() => null) : null;
  if (!told) return false;
  isKnown = true;
  const { draft } = told;
  keepsOne = draft !== null;
  // The server's clock before this machine's, and by what the answer took more: in doubt the tab's copy is the newer.
  const ahead = Date.parse(told.now) - asked;
  if (draft && !(tab && !tab.kept && tab.at + ahead > Date.parse(draft.kept_at))) {
    const wrote = !sameWords(words(), given);
    restore({
      ...draft,
      findings: Object.entries(draft.findings).map(([name, value]) => [`finding:${name}`, value]),
      marks: JSON.stringify(draft.marks),
    });
    if (wrote) written();
    else keepDraft(study, filledIn({ kept: true }));
  } else if (tab?.kept && sameWords(words(), given)) {
    forgetDraft(study); // signed, or discarded, elsewhere
  } else if (tab && !tab.kept) {
    isDue = true;
    soon(AFTER_MS);
  }
  return true;
}

async function discard() {
  isOver = true;
  clearTimeout(timer);
  await sending;
  const answer = await ask({ method: "POST", body: new URLSearchParams() });
  if (!answer?.ok) {
    isOver = Boolean(answer);
    return;
  }
  forgetDraft(study);
  form.reset();
  loadAnew();
}

// A page made ahead of time knows what is kept only once it is shown.
if (form) void shown.then(begin);
