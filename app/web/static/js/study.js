// The study page: signing keys that cannot go off by accident, the claim, and what happens to the study meanwhile.

import { loadAnew } from "./anew.js";
import { begin } from "./holding.js";
import { lastList } from "./lastlist.js";
import { isTyping, listen } from "./shared.js";
import { isShown, renewNext } from "./shown.js";
import { _ } from "./texts.js";

const room = document.getElementById("content");
const study = room.dataset.study;
const correction = document.getElementById("correction");
const correct = document.getElementById("correct");
const confirmForm = document.getElementById("confirm");
const held = document.getElementById("held");
const barred = document.getElementById("barred"); // why what was refused cannot be signed yet

// Signing keys act only once the image has been on the screen for half a second (seen.js).
const hasBeenSeen = () => room.dataset.seen !== undefined;

function sign(form) {
  if (barred?.hidden === false) {
    barred.scrollIntoView({ block: "nearest" });
    return;
  }
  if (form && !form.dataset.sent && !changed()) form.requestSubmit();
}

// A signature under way: the news that it makes is its own, and its answer leads onwards.
const isSent = () => Boolean(confirmForm?.dataset.sent || correct?.dataset.sent);

function changed() {
  return !document.getElementById("changed").hidden;
}

// Enter in an answer would sign past every guard: Ctrl+Enter and the button sign.
correct?.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.ctrlKey && !event.metaKey && event.target.matches("input")) event.preventDefault();
});

// What a verdict of before has filled in of a correction that nobody has opened is not what the reader says.
const answers = () =>
  [...correct.querySelectorAll("input[type=radio]:checked")].filter(
    ({ dataset }) => correction.open || dataset.standing === undefined,
  );

// What is filled in and a confirmation would not say: an answer other than the button names, or a comment.
const isAgainst = () =>
  answers().some(({ dataset }) => dataset.confirmed === undefined) ||
  correct.querySelector("textarea").value.trim() !== "";

const confirmNow = () => confirmForm.requestSubmit();

// Heard before the form is sent: nothing is signed over what somebody has filled in, here or, as the server is about
// to say (keeping.js), in another tab.
confirmForm?.addEventListener("submit", (event) => {
  const isKnown = correct.dataset.known !== undefined;
  if (isKnown && !isAgainst()) return;
  event.preventDefault();
  event.stopPropagation();
  if (!isKnown) {
    correct.addEventListener("draft-known", confirmNow, { once: true });
    return;
  }
  const note = document.getElementById("not-confirmed");
  note.hidden = false;
  void openCorrection();
  note.scrollIntoView({ block: "nearest" });
});
if (confirmForm) correct.addEventListener("input", () => {
  if (!isAgainst()) document.getElementById("not-confirmed").hidden = true;
});

// What a confirmation was given with goes with it, so that a refusal shows it again.
confirmForm?.addEventListener("formdata", ({ formData }) => {
  for (const { name, value } of [...answers(), correct.querySelector("textarea")]) formData.set(name, value);
});

async function openCorrection() {
  correct.removeEventListener("draft-known", confirmNow);
  correction.open = true;
  document.querySelector("[data-correct]")?.setAttribute("aria-expanded", "true");
  (correct.querySelector("input[type=radio]:checked") ?? correct.querySelector("input[type=radio]"))?.focus({
    preventScroll: true,
  });
  correction.scrollIntoView({ block: "nearest" });
  if (await begin()) await compare();
}

document.querySelector("[data-correct]")?.addEventListener("click", () => void openCorrection());

document.addEventListener("keydown", (event) => {
  if (!isShown() || event.repeat || document.querySelector("dialog[open]")) return;
  if ((event.ctrlKey || event.metaKey) && event.key === "Enter") {
    // In a question or a reason that one is meant, and in no other form is it a signature.
    const form = event.target.closest("form");
    if (form && form !== correct) {
      event.preventDefault();
      if (isTyping(event.target)) form.requestSubmit();
    } else if (correction?.open && hasBeenSeen()) {
      event.preventDefault();
      sign(correct);
    }
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (isTyping(event.target)) return;
  const statements = { y: "present", n: "absent", u: "uncertain" };
  if (event.key === "1" && hasBeenSeen()) {
    event.preventDefault(); // the focus may come to a field meanwhile
    if (confirmForm) sign(confirmForm);
    else document.getElementById("blind")?.scrollIntoView();
  } else if (event.key === "2" && correction) {
    event.preventDefault();
    void openCorrection();
  } else if (event.key === "3") document.getElementById("following-study")?.click();
  else if (event.key === "l") location.assign(lastList());
  else if (event.key === "b") backToSigned();
  else if (event.key === "h") tellOfMap();
  else if (event.key in statements && correction?.open) state(statements[event.key]);
});

// On a page that was made ahead of time the way back comes a moment after the picture.
function backToSigned() {
  const link = document.getElementById("signed-study");
  if (link) link.click();
  else document.addEventListener("signature-told", () => document.getElementById("signed-study")?.click(), { once: true });
}

// A map that is withheld cannot be shown; the key that asks for it says why.
function tellOfMap() {
  const withheld = document.querySelector("[data-map-withheld]");
  if (!withheld) return;
  withheld.open = !withheld.open;
  if (withheld.open) withheld.scrollIntoView({ block: "nearest" });
}

// One key answers the first finding that has no answer yet, or the one in focus.
function state(value) {
  const sets = [...correct.querySelectorAll("fieldset")];
  const target =
    sets.find((set) => set.contains(document.activeElement)) ??
    sets.find((set) => !set.querySelector(":checked")) ??
    sets[0];
  const input = target?.querySelector(`input[value="${value}"]`);
  if (!input) return;
  input.checked = true;
  input.dispatchEvent(new Event("input", { bubbles: true })); // as a hand on it does: the draft is kept
  const next = sets[sets.indexOf(target) + 1];
  (next?.querySelector("input") ?? input).focus({ preventScroll: true });
}

// What others do to the study while it is open here.

async function compare() {
  const answer = await fetch(`/studies/${study}/now`, { headers: { Accept: "application/json" } }).catch(() => null);
  if (answer?.status === 401) {
    // The words of the page stay where they are; signing would lead to the sign-in, and back to this study.
    document.getElementById("ended").hidden = false;
    return;
  }
  if (!answer?.ok) return;
  const now = await answer.json();
  if (held) {
    const free = ["signed", "amended"].includes(now.state) ? "" : (held.dataset.free ?? "");
    held.hidden = !now.held && !free;
    held.textContent = now.held ?? free;
    held.className = now.held && !now.mine ? "note warn" : "soft small";
  }
  const takeOver = document.getElementById("take-over");
  if (takeOver) {
    takeOver.hidden = !now.held || now.mine;
    for (const part of document.querySelectorAll("[data-holder]")) part.textContent = now.holder ?? "";
    takeOver.querySelector("[name=held_since]").value = now.since ?? "";
  }
  if (barred) {
    barred.hidden = now.state !== "screening" && (!now.held || now.mine);
    correct.querySelector("button[data-signs]").disabled = !barred.hidden;
  }
  document.querySelector("[data-lost-words]").textContent = now.lost ?? "";
  document.getElementById("lost").hidden = !now.lost;
  document.querySelector("[data-claim]")?.toggleAttribute("hidden", now.held !== null);
  for (const part of document.querySelectorAll("[data-mine]")) part.hidden = !now.mine;
  if (String(now.revision) === room.dataset.revision || isSent()) return;
  const words = {
    signed: _("The study has been signed since you opened it."),
    amended: _("The study has been amended since you opened it."),
    reopened: _("The study was reopened."),
  };
  document.querySelector("[data-changed-words]").textContent =
    `${words[now.state] ?? _("The study has changed since you opened it.")} ${now.said ?? ""}`.trim();
  // Open is not touched: the form stands open from the start where there is no reading to confirm.
  const untouched = !correct?.querySelector(":checked") && !correct?.querySelector("textarea").value;
  // A study that was waiting for the network renews itself while nobody has written anything.
  if (untouched && ["admitted", "screening"].includes(room.dataset.state)) loadAnew();
  else document.getElementById("changed").hidden = false;
}

listen({
  study: (id) => {
    if (id === study && !isSent()) void compare();
    else if (!isSent()) renewNext(id);
  },
  resync: () => void compare(),
  lost: ({ forGood }) => {
    if (forGood) void compare();
  },
});
