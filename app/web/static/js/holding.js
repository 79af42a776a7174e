// Who may sign a study and has it on the screen holds it, if it is free: others are led past it meanwhile. Whoever leaves
// it with nothing done lets go of it; what was begun, or asked for by hand, stays theirs until it is signed or the
// hold ends. Nothing waits for any of this: a signature claims the study by itself.

import { csrf } from "./shared.js";

const room = document.getElementById("content");
const study = room.dataset.study;
const asking = () => ({ method: "POST", keepalive: true, headers: { "X-CSRF-Token": csrf(), Accept: "application/json" } });
let until = null; // the hold that opening began, by its end; none where there was one before
let unheard = false; // asked for, and without an answer: leaving calls the answer off before it says that it leaves
let begun = false;

// A tab that nobody looks at holds nothing.
const inSight = () =>
  document.hidden
    ? new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }))
    : Promise.resolve();

async function open() {
  await inSight();
  unheard = true;
  const answer = await fetch(`/studies/${study}/opened`, asking()).catch(() => null);
  const said = answer?.ok ? await answer.json().catch(() => null) : null;
  unheard = answer === null;
  until = said?.held_until ?? null;
}

/** The reader works on the study: they hold it, also when they leave. Once for a page; true where that was now. */
export async function begin() {
  if (begun || ["signed", "amended"].includes(room.dataset.state)) return false;
  begun = true;
  // Refused where somebody else holds it: the answer to signing will say what is wrong.
  await fetch(`/api/v1/studies/${study}/claim`, asking()).catch(() => null);
  return true;
}

// Also what was filled in earlier and is back, what was refused, and a signature that is on its way.
const hasWork = () =>
  begun ||
  document.getElementById("restored")?.hidden === false ||
  room.querySelector("[data-refilled], form[data-sent]:has([data-signs])") !== null;

if (room.dataset.claims !== undefined) {
  document.addEventListener("study-seen", () => void open(), { once: true });
  document.getElementById("correct")?.addEventListener("input", () => void begin());
  window.addEventListener("pagehide", () => {
    const shownAt = document.querySelector("#correct [name=shown_at]")?.value;
    // What is sent by hand from here may claim the study: that is not let go of unheard.
    const isLeft = until ?? (unheard && shownAt && !room.querySelector("form[data-sent]"));
    if (isLeft && !hasWork()) {
      const body = new URLSearchParams(until ? { held_until: until } : { shown_at: shownAt });
      void fetch(`/studies/${study}/left`, { ...asking(), body }).catch(() => null);
    }
    until = null;
  });
  window.addEventListener("pageshow", ({ persisted }) => {
    if (persisted) void open();
  });
}
