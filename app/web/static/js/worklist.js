// The live worklist: rows change in place, what is new or moved waits until the reader takes it in.

import { loadAnew } from "./anew.js";
import { setHead, setText, setUnsigned } from "./head.js";
import { keepList } from "./lastlist.js";
import { Pace } from "./pace.js";
import { ANSWERS_WITHIN, Pages } from "./paging.js";
import { isTyping, listen } from "./shared.js";
import { settle, steadily } from "./steady.js";
import { _, ngettext } from "./texts.js";
import { ageWaits, heardTheTime, serverNow } from "./waits.js";
import { walkable } from "./walking.js";

const rows = document.getElementById("rows");
const news = document.getElementById("news");
const live = document.getElementById("live");
const spoken = document.getElementById("spoken");
const isTable = rows?.tagName === "TBODY";
const FETCH_AFTER = 250;
const AGAIN_AFTER = 3000;
const QUIET = 12_000;
const AT_ONCE = 50;
const MOST_WAITING = 200; // of more, rows by the fifty would never catch up: the list is looked at anew
const STUDY = "tr[data-study]";
const isDone = rows?.dataset.section === "done";
const FILTER = new URLSearchParams(isDone ? "" : location.search); // what was signed today is listed whole
FILTER.delete("cursor");
FILTER.delete("section");
keepList();

const pages = isTable
  ? new Pages(rows, (further) => {
      for (const row of further) arrived.delete(row.dataset.study);
      spoken.textContent = ngettext("%(num)s further study", "%(num)s further studies", further.length);
    })
  : null;
const waiting = new Set();
const arrived = new Set();
let moved = false;
let timer = null;
let due = Infinity; // when the timer ends
let isAsking = false;
let quiet = null;
let lastTouched = 0;
let looked = false; // the last question was for the whole list
let isMissed = false; // something happened of which no news came
let isOver = false; // the session or the right to listen has ended
let isTakingIn = false;
let isWanted = false; // it is taken in by hand
const listening = new Set(); // for what is heard while pages are on their way, which may be too old for it
const renewing = new Pace(FETCH_AFTER);
const looking = new Pace(0, { rests: 3, longest: 5000 }); // at all pages of the list
const takingIn = new Pace(0);

function rowOf(id) {
  return document.getElementById(`s-${id}`);
}

// Live events name a study; what it looks like now is asked for, several at once and one question after the other.

function heard(id) {
  waiting.add(id);
  for (const meanwhile of listening) meanwhile.add(id);
  ask(FETCH_AFTER);
}

function ask(after, pace = renewing) {
  const at = Math.max(performance.now() + after, pace.until);
  if (isAsking || at >= due) return;
  clearTimeout(timer);
  due = at;
  timer = setTimeout(renew, at - performance.now());
}

// What cannot be had is asked for again, for as long as this page may ask.
async function renew() {
  isAsking = true;
  looked = performance.now() >= looking.until && (isMissed || (waiting.size > MOST_WAITING && !looked));
  if (looked) isMissed = false;
  const answered = await (looked ? looking : renewing).asking(() => (looked ? resync() : fetchRows()).catch(failed));
  isMissed ||= looked && !answered;
  isAsking = false;
  due = Infinity;
  const after = answered ? FETCH_AFTER : AGAIN_AFTER;
  if (!isOver && waiting.size > 0) ask(after);
  if (!isOver && isMissed) ask(after, looking);
}

function failed(error) {
  console.error(error);
  return false;
}

/** True once the rows of some that were heard of are as they are now; false where that cannot be had. */
async function fetchRows() {
  const ids = [...waiting].slice(0, AT_ONCE);
  if (ids.length === 0) return true;
  ids.forEach((id) => waiting.delete(id));
  const asked = new URLSearchParams(FILTER);
  for (const id of ids) asked.append("id", id);
  const answer = await fetch(`/worklist/rows?${asked}`, {
    headers: { Accept: "application/json" },
    signal: AbortSignal.timeout(ANSWERS_WITHIN),
  }).catch(() => null);
  if (answer?.status === 401) loadAnew();
  const body = answer?.ok ? await answer.json().catch(() => null) : null;
  if (!body?.rows) {
    ids.forEach((id) => waiting.add(id));
    return false;
  }
  heardTheTime(body.now);
  setUnsigned(body.unsigned);
  setText("unread", body.unread);
  setText("due", body.due);
  setText("not-due", body.unsigned - body.due);
  steadily(() => {
    for (const [id, row] of Object.entries(body.rows)) take(id, row);
    tellAsked(body.asked);
  });
  announce();
  return true;
}

function take(id, row) {
  const present = rowOf(id);
  if (!present) {
    if (isDone ? row.signed : row.open && belongsHere(row.rank)) arrived.add(id);
    return;
  }
  const holder = document.createElement("template");
  holder.innerHTML = row.html;
  const fresh = holder.content.querySelector("tr");
  const isIn = isDone ? row.signed : row.open;
  fresh.toggleAttribute("data-left", !isIn);
  if (present.dataset.rank !== fresh.dataset.rank || !isIn) moved = true;
  const focused = present.contains(document.activeElement);
  fresh.classList.toggle("here", present.classList.contains("here"));
  present.replaceWith(fresh);
  if (focused) fresh.querySelector("a.name").focus({ preventScroll: true });
}

// A page of the list shows a span of ranks; the last page has no end.
function belongsHere(rank) {
  if (!isTable || rank === null) return true; // a blind study: the server knows the place
  const shown = rows.querySelectorAll(STUDY);
  if (shown.length === 0) return true;
  const [first, last] = [shown[0].dataset.rank, shown[shown.length - 1].dataset.rank];
  // A blind row tells no rank: to be told once too often is harmless.
  const afterFirst = rows.dataset.first === "yes" || !first || rank >= first;
  const beforeLast = rows.dataset.last === "yes" || !last || rank <= last;
  return afterFirst && beforeLast;
}

// What colleagues ask stands above the list; it is told once, when it changes.
let toldAsked = null;

function tellAsked(html) {
  if (html !== toldAsked) document.getElementById("asked").innerHTML = html;
  toldAsked = html;
}

function announce() {
  const parts = [];
  if (arrived.size > 0) parts.push(ngettext("%(num)s new study", "%(num)s new studies", arrived.size));
  if (moved) parts.push(arrived.size > 0 ? _("the order has changed") : _("The order has changed"));
  if (parts.length === 0) return;
  const words = parts.join(_(", "));
  if (!isTable) return void takeIn();
  news.textContent = _("%(news)s: show", { news: words });
  news.hidden = false;
  if (spoken.textContent !== words) spoken.textContent = words;
  takeInWhenQuiet();
}

// Nobody's hand is on the list: nothing can jump under it.
function takeInWhenQuiet() {
  clearTimeout(quiet);
  if (!news || news.hidden) return;
  const idle = Date.now() - lastTouched;
  const rest = takingIn.until - performance.now();
  if (idle >= QUIET && rest <= 0 && !document.querySelector("dialog[open]")) void takeIn();
  else quiet = setTimeout(takeInWhenQuiet, Math.max(QUIET - idle, rest, 1000));
}

// A page that still sends what must not be lost stays until that has happened.
function loadAnewUnlessSending() {
  if (!document.querySelector("form[data-sent]")) loadAnew();
}

/** The list's pages as they are now, or null; and of which studies news came meanwhile. */
async function anew() {
  const meanwhile = new Set();
  listening.add(meanwhile);
  const renewed = await (pages ?? new Pages(rows, () => {})).anew();
  listening.delete(meanwhile);
  return [renewed, meanwhile];
}

async function takeIn({ byHand = false } = {}) {
  isWanted ||= byHand;
  if (isTakingIn) return;
  isTakingIn = true;
  const began = Date.now();
  const [renewed, meanwhile] = pages ? await takingIn.asking(anew) : [];
  const isForAHand = isWanted;
  isTakingIn = isWanted = false;
  if (pages && renewed && !isForAHand && lastTouched > began) return takeInWhenQuiet(); // a hand has come back
  if (pages && !renewed) {
    quiet = setTimeout(takeInWhenQuiet, AGAIN_AFTER); // not to be had now: what stands here stays
    return;
  }
  const page = renewed?.[0];
  if (page?.getElementById("rows")?.tagName !== "TBODY") return loadAnewUnlessSending();
  const here = rows.querySelector("tr.here")?.dataset.study;
  const focused = document.activeElement?.closest?.("tr")?.dataset.study;
  const known = new Set([...rows.querySelectorAll(STUDY)].map((row) => row.dataset.study));
  pages.replace(renewed);
  settle();
  for (const row of rows.querySelectorAll(STUDY)) {
    if (!known.has(row.dataset.study)) row.classList.add("fresh");
  }
  if (here) rowOf(here)?.classList.add("here");
  if (focused) rowOf(focused)?.querySelector("a.name").focus({ preventScroll: true });
  setHead(page);
  arrived.clear();
  moved = false;
  news.hidden = true;
  meanwhile.forEach(heard);
}

function setLive(state, words) {
  live.dataset.live = state;
  live.textContent = words;
}

function lookAnew() {
  isMissed = true;
  ask(0, looking);
}

listen({
  study: heard,
  resync: lookAnew,
  open: () => setLive("on", _("live")),
  lost: ({ forGood }) => {
    setLive("off", forGood ? _("not live") : _("reconnecting"));
    isOver = forGood;
    if (forGood) lookAnew();
  },
});

/** Something was missed: look whether the list differs before saying so. False where that cannot be had. */
async function resync() {
  const before = [...waiting];
  const [renewed, meanwhile] = await anew();
  if (!renewed) return false;
  for (const id of before) if (!meanwhile.has(id)) waiting.delete(id);
  const theirs = new Map(
    renewed.flatMap((page) => [...page.querySelectorAll("#rows tr[data-study]")].map((row) => [row.dataset.study, row])),
  );
  setHead(renewed[0]);
  const asked = renewed[0].getElementById("asked");
  steadily(() => {
    if (asked) tellAsked(asked.innerHTML);
    for (const [id, { outerHTML }] of theirs) {
      if (!rowOf(id)) arrived.add(id);
      else if (!meanwhile.has(id)) take(id, { html: outerHTML, open: true, signed: true });
    }
  });
  const ours = isTable ? [...rows.querySelectorAll(STUDY)] : [];
  const here = ours.map((row) => row.dataset.study).filter((id) => theirs.has(id));
  moved = here.join() !== [...theirs.keys()].filter(rowOf).join() || ours.some((row) => "left" in row.dataset);
  // What has left the list, or stands beyond its pages now: what became of it is asked once.
  for (const { dataset } of ours) if (!theirs.has(dataset.study) && !("left" in dataset)) heard(dataset.study);
  announce();
  return true;
}

setInterval(() => {
  if (!isTable) return;
  if (!moved) steadily(divide);
  ageWaits(rows.querySelectorAll(STUDY));
}, 10_000);

// As time passes, what waits comes due: the line between the two parts goes down past it.
function divide() {
  const line = rows.querySelector("tr.section[data-part=waiting]");
  const due = serverNow() - Number(rows.dataset.dueHours) * 3_600_000;
  // A blind row does not say where it counts from: it goes with those around it.
  const last = [...rows.querySelectorAll(STUDY)].findLast((row) => Date.parse(row.dataset.rank) <= due);
  if (!line || !last || !(line.compareDocumentPosition(last) & Node.DOCUMENT_POSITION_FOLLOWING)) return;
  last.after(line);
  heard(last.dataset.study); // how many stand on either side now comes with the row
}

for (const kind of ["pointermove", "pointerdown", "keydown", "wheel"]) {
  document.addEventListener(kind, () => (lastTouched = Date.now()), { passive: true });
}

news?.addEventListener("click", () => void takeIn({ byHand: true }));

// A place without rows has nothing to walk; `pages` there is null.
walkable(rows, () => pages.more());

const filters = document.getElementById("filters");

document.addEventListener("keydown", (event) => {
  if (isTyping(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "f") {
    event.preventDefault();
    filters.open = !filters.open;
    if (filters.open) filters.querySelector("select, input[type=checkbox]").focus();
  } else if (isTable && event.key === "u" && !news.hidden) {
    void takeIn({ byHand: true });
  }
});
