// The bar of a job: it is asked for every second, and the page is loaded anew once the job is over.
// Whoever wants what the job tells listens for "job" on its element: detail is the answer of /api/v1/jobs/{id}.

import { loadAnew } from "./anew.js";
import { csrf } from "./shared.js";
import { _, ngettext } from "./texts.js";

const EVERY_MS = 1000;

/** @param {number} seconds */
function lasting(seconds) {
  if (seconds < 90) return ngettext("%(num)s second", "%(num)s seconds", Math.max(1, Math.round(seconds)));
  if (seconds < 5400) return ngettext("%(num)s minute", "%(num)s minutes", Math.round(seconds / 60));
  return ngettext("%(num)s hour", "%(num)s hours", Math.round(seconds / 3600));
}

function show(note, job) {
  const { progress } = job;
  const stage = note.querySelector("[data-job-stage]");
  if (job.state === "running") stage.textContent = progress ? progress.stage : _("Begins");
  if (progress) {
    const bar = note.querySelector("[data-job-bar]");
    bar.max = progress.of || 1;
    bar.value = progress.done;
    const parts = [_("%(done)s of %(all)s", { done: progress.done, all: progress.of })];
    if (progress.per_second > 0) parts.push(_("%(count)s a second", { count: progress.per_second.toPrecision(3) }));
    if (progress.seconds_left) parts.push(_("%(time)s left", { time: lasting(progress.seconds_left) }));
    note.querySelector("[data-job-figures]").textContent = parts.join(" · ");
  }
}

async function follow(note) {
  const answer = await fetch(`/api/v1/jobs/${note.dataset.job}?after=${note.dataset.told}`).catch(() => null);
  const job = answer?.ok ? await answer.json().catch(() => null) : null;
  if (answer && [401, 403, 404].includes(answer.status)) return loadAnew();
  if (job) {
    note.dataset.told = job.told_so_far;
    show(note, job);
    note.dispatchEvent(new CustomEvent("job", { detail: job, bubbles: true }));
    if (job.ended_at) return loadAnew();
  }
  setTimeout(() => follow(note), EVERY_MS);
}

for (const note of document.querySelectorAll("[data-job]")) {
  follow(note);
  const button = note.querySelector("[data-job-cancel]");
  button?.addEventListener("click", async () => {
    button.disabled = true;
    button.textContent = _("Being cancelled");
    const answer = await fetch(`/api/v1/jobs/${note.dataset.job}/cancel`, {
      method: "POST",
      headers: { "X-CSRF-Token": csrf() },
    }).catch(() => null);
    if (!answer?.ok) {
      button.disabled = false;
      button.textContent = _("Cancel");
    }
  });
}
