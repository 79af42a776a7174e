// Waiting times age before the reader's eyes, by the server's clock, which comes with the page and with rows: this
// machine's may be hours off, and may be set right while the list stands. The words are those of the server.

import { _ } from "./texts.js";

const LONG = 7200;
const VERY_LONG = 28_800;
const navigated = performance.getEntriesByType("navigation")[0]?.responseStart ?? 0;
let server = { moment: Date.parse(document.getElementById("rows")?.dataset.now), heard: navigated };

export function heardTheTime(moment) {
  server = { moment: Date.parse(moment), heard: performance.now() };
}

export const serverNow = () => server.moment + performance.now() - server.heard;

export function ageWaits(studies) {
  for (const row of studies) {
    const cell = row.querySelector("[data-wait]");
    if (!cell) continue; // signed: it waits no longer
    const seconds = (serverNow() - Date.parse(row.dataset.arrived)) / 1000;
    cell.textContent = sayDuration(seconds);
    if (seconds > VERY_LONG) cell.dataset.age = "very-long";
    else if (seconds > LONG) cell.dataset.age = "long";
  }
}

function sayDuration(seconds) {
  const minutes = Math.floor(Math.max(seconds, 0) / 60);
  if (minutes < 1) return _("%(seconds)s s", { seconds: Math.floor(Math.max(seconds, 0)) });
  if (minutes < 60) return _("%(minutes)s min", { minutes });
  if (minutes < 48 * 60) {
    return _("%(hours)s h %(minutes)s", {
      hours: Math.floor(minutes / 60),
      minutes: String(minutes % 60).padStart(2, "0"),
    });
  }
  return _("%(days)s d %(hours)s h", {
    days: Math.floor(minutes / 1440),
    hours: Math.floor((minutes % 1440) / 60),
  });
}
