// Files and folders by drop or choice; each file is one request, a few at a time, with its own progress and outcome.

import { csrf } from "./shared.js";
import { _, ngettext } from "./texts.js";

const AT_ONCE = 3;
const TRIES = 4;
const drop = document.getElementById("drop");
const rows = document.getElementById("rows");
const template = document.getElementById("row");
const queue = [];
const counts = { waiting: 0, admitted: 0, known: 0, refused: 0 };
let running = 0;

function add(file, path) {
  queue.push({ file, row: rowOf(path || file.name, sayBytes(file.size)), tries: 0 });
  counts.waiting++;
  summarise();
  pump();
}

// What the browser itself could not read has its row too, so that nobody believes it was sent.
function refuse(path, detail) {
  const row = rowOf(path, "");
  counts.waiting++;
  running++;
  finish({ row }, "refused", detail);
}

function rowOf(path, size) {
  const row = template.content.firstElementChild.cloneNode(true);
  row.querySelector(".file").textContent = path;
  row.querySelector(".size").textContent = size;
  rows.append(row);
  document.getElementById("result").hidden = false;
  return row;
}

function pump() {
  while (running < AT_ONCE && queue.length > 0) {
    running++;
    send(queue.shift());
  }
}

function send(item) {
  const { file, row } = item;
  const form = new FormData();
  for (const [name, value] of new FormData(document.getElementById("given"))) if (value) form.append(name, value);
  form.append("files", file, file.name);
  const request = new XMLHttpRequest();
  const progress = row.querySelector("progress");
  request.upload.addEventListener("progress", (event) => {
    if (event.lengthComputable) progress.value = (event.loaded / event.total) * 0.98;
  });
  request.addEventListener("load", () => settle(item, request));
  request.addEventListener("error", () => again(item, _("The connection was lost.")));
  request.addEventListener("abort", () => again(item, _("The upload was interrupted.")));
  request.open("POST", "/api/v1/studies?via=browser");
  request.setRequestHeader("X-CSRF-Token", csrf());
  row.querySelector(".outcome").textContent = _("sending");
  request.send(form);
}

function settle(item, request) {
  const answer = parsed(request.responseText);
  if ([429, 502, 503, 504].includes(request.status)) {
    const seconds = Number(request.getResponseHeader("Retry-After")) || 2 ** item.tries;
    return again(item, answer?.detail ?? _("The service is busy."), seconds);
  }
  if (request.status === 401) return finish(item, "refused", _("Your session has ended. Sign in again and repeat this file."));
  const file = answer?.files?.[0];
  if (request.status === 202 && file) {
    const known = file.outcome === "duplicate";
    return finish(item, known ? "known" : "admitted", null, { study: file.study, warnings: file.warnings ?? [] });
  }
  finish(item, "refused", file?.problem?.detail ?? answer?.detail ?? _("The server answered %(status)s.", { status: request.status }));
}

// The same bytes again create nothing, so trying again is always safe.
function again(item, reason, seconds = 2 ** item.tries) {
  item.tries++;
  if (item.tries >= TRIES) {
    const tried = _("Tried %(count)s times; choose the file again.", { count: TRIES });
    return finish(item, "refused", `${reason} ${tried}`);
  }
  item.row.querySelector(".outcome").textContent = `${reason} ${_("Trying again …")}`;
  setTimeout(() => {
    queue.push(item);
    running--;
    pump();
  }, seconds * 1000);
}

function finish({ row }, outcome, detail, { study, warnings = [] } = {}) {
  row.dataset.outcome = outcome;
  row.querySelector("progress").value = 1;
  const cell = row.querySelector(".outcome");
  const words = {
    admitted: _("Admitted."),
    known: _("Known already: nothing new was made."),
    refused: _("Refused."),
  };
  cell.textContent = `${words[outcome]} `;
  if (study) {
    const link = document.createElement("a");
    link.href = `/studies/${study}`;
    link.textContent = _("Open the study");
    cell.append(link);
  }
  for (const sentence of detail ? [detail] : warnings) {
    const line = document.createElement("div");
    line.className = "detail small";
    line.textContent = sentence;
    cell.append(line);
  }
  counts.waiting--;
  counts[outcome]++;
  running--;
  summarise();
  pump();
}

function summarise() {
  const parts = [];
  if (counts.waiting) parts.push(_("%(count)s to go", { count: counts.waiting }));
  if (counts.admitted) parts.push(_("%(count)s admitted", { count: counts.admitted }));
  if (counts.known) parts.push(_("%(count)s known already", { count: counts.known }));
  if (counts.refused) parts.push(_("%(count)s refused", { count: counts.refused }));
  document.getElementById("summary").textContent = parts.join(_(", "));
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function sayBytes(size) {
  if (size < 1000) return ngettext("%(num)s byte", "%(num)s bytes", size);
  if (size < 1e6) return `${(size / 1e3).toFixed(1)} KB`;
  return `${(size / 1e6).toFixed(1)} MB`;
}

// Choosing

for (const [button, input] of [
  ["choose-files", "files"],
  ["choose-folder", "folder"],
]) {
  const field = document.getElementById(input);
  document.getElementById(button).addEventListener("click", () => field.click());
  const take = () => {
    for (const file of field.files) add(file, file.webkitRelativePath);
    field.value = "";
  };
  field.addEventListener("change", take);
  take(); // what was chosen before this script was there
}

// Dropping, with folders searched to the bottom

for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) drop.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  // Entries are only there while the event lasts.
  const items = [...event.dataTransfer.items].filter((item) => item.kind === "file");
  const entries = items.map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile());
  for (const entry of entries) {
    if (entry instanceof File) add(entry, entry.name);
    else if (entry) void walk(entry);
  }
});

async function walk(entry) {
  if (entry.isFile) {
    try {
      add(await new Promise((resolve, reject) => entry.file(resolve, reject)), pathOf(entry));
    } catch (error) {
      refuse(
        pathOf(entry),
        unread(error, {
          plain: _("The browser could not read this file. It was not sent; choose it again."),
          because: (reason) =>
            _("The browser could not read this file (%(reason)s). It was not sent; choose it again.", { reason }),
        }),
      );
    }
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    // A folder is read in pieces until it gives none.
    let piece;
    try {
      piece = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    } catch (error) {
      refuse(
        pathOf(entry),
        unread(error, {
          plain: _("The browser could not read this folder. What is not listed here was not sent; choose the folder again."),
          because: (reason) =>
            _(
              "The browser could not read this folder (%(reason)s). What is not listed here was not sent; choose the folder again.",
              { reason },
            ),
        }),
      );
      return;
    }
    if (piece.length === 0) return;
    for (const child of piece) await walk(child);
  }
}

function pathOf(entry) {
  return entry.fullPath.replace(/^\//, "");
}

function unread(error, { plain, because }) {
  return error?.message ? because(error.message.replace(/\.$/, "")) : plain;
}

window.addEventListener("beforeunload", (event) => {
  if (counts.waiting > 0) event.preventDefault();
});
