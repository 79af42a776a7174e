// A dataset sent from the browser: a folder, a zip or files, in requests of bounded size, and after an interruption
// only what the server lacks.

import { csrf } from "./shared.js";
import { _, ngettext } from "./texts.js";

const FILES_AT_ONCE = 200;
const BYTES_AT_ONCE = 16e6;
const REQUESTS_AT_ONCE = 2;
const PAUSES = [1000, 2000, 4000, 8000, 15_000];
const SHOWN_REFUSALS = 50;

const drop = document.getElementById("drop");
const part = (name) => document.getElementById(`sending-${name}`);
let busy = false;

/** @param {{path: string, file: File}[]} found */
async function bring(found, unread) {
  const most = Number(drop.dataset.most);
  const files = found.filter(({ path }) => !isJunk(path));
  if (busy || !files.length) return busy || tell(unread[0] ?? _("There is no file in it."));
  if (files.length > most)
    return tell(
      _("There are %(count)s files; a dataset may have at most %(most)s. Bring them in parts.", {
        count: files.length.toLocaleString(),
        most: most.toLocaleString(),
      }),
    );
  busy = true;
  window.addEventListener("beforeunload", stay);
  document.getElementById("sending").hidden = false;
  for (const reason of unread) refuse(reason);
  try {
    const dataset = drop.dataset.dataset ?? (await begin(nameOf(files)));
    const missing = await lacking(dataset, files);
    await send(dataset, fitting(missing), files.length - missing.length);
    const asked = await ask(`/api/v1/datasets/${dataset}/inspect`, { method: "POST" });
    window.removeEventListener("beforeunload", stay);
    location.assign(asked.page_url);
  } catch (problem) {
    tell(problem.message);
    window.removeEventListener("beforeunload", stay);
    busy = false;
  }
}

async function begin(name) {
  const made = await ask("/api/v1/datasets", { method: "POST", json: { name } });
  drop.dataset.dataset = made.id; // dropped again after a failure, it goes on
  return made.id;
}

/** What the server does not have yet, by path and size. */
async function lacking(dataset, files) {
  say(_("Asking what is there already …"));
  const there = new Map();
  for (let after = ""; after !== null; ) {
    const answer = await ask(`/api/v1/datasets/${dataset}/received${after && `?after=${after}`}`);
    for (const { path, byte_size: size } of answer.files) there.set(path, size);
    after = answer.after;
  }
  return files.filter(({ path, file }) => there.get(path) !== file.size);
}

/** Without what the server would refuse for its size, which is told at once. */
function fitting(files) {
  const largest = Number(drop.dataset.largest);
  return files.filter(({ path, file }) => {
    if (file.size <= largest) return true;
    const zip = path.toLowerCase().endsWith(".zip");
    refuse(
      zip
        ? _("%(path)s is too large for one file. Unpack it, and drop the folder.", { path })
        : _("%(path)s is too large.", { path }),
    );
    return false;
  });
}

async function send(dataset, files, before) {
  const all = files.length + before;
  const bytes = files.reduce((sum, { file }) => sum + file.size, 0) || 1;
  const batches = batchesOf(files);
  const moving = new Map();
  let done = before;
  let sent = 0;
  const show = () => {
    const under = [...moving.values()].reduce((sum, loaded) => sum + loaded, 0);
    part("bar").value = Math.min((sent + under) / bytes, 1);
    say(_("%(done)s of %(all)s files sent", { done: done.toLocaleString(), all: all.toLocaleString() }));
  };
  show();
  const run = async () => {
    for (let batch = batches.shift(); batch; batch = batches.shift()) {
      const own = batch;
      const answer = await post(dataset, own, (loaded) => {
        moving.set(own, loaded);
        show();
      });
      moving.delete(own);
      sent += own.reduce((sum, { file }) => sum + file.size, 0);
      done += own.length;
      for (const { name, problem } of answer.files) if (problem) refuse(`${name}: ${problem.detail}`);
      show();
    }
  };
  await Promise.all(Array.from({ length: REQUESTS_AT_ONCE }, run));
}

function batchesOf(files) {
  const batches = [];
  let bytes = Infinity;
  for (const one of files) {
    if (bytes + one.file.size > BYTES_AT_ONCE || batches.at(-1).length >= FILES_AT_ONCE) {
      batches.push([]);
      bytes = 0;
    }
    batches.at(-1).push(one);
    bytes += one.file.size;
  }
  return batches;
}

/** The batch is there: sent again for as long as the server does not answer. The same file twice does no harm. */
async function post(dataset, batch, onProgress) {
  for (let tried = 0; ; tried += 1) {
    const { status, answer } = await posted(dataset, batch, onProgress);
    if (status === 200) {
      part("note").textContent = "";
      return answer;
    }
    if (status && ![429, 502, 503, 504].includes(status)) throw new Error(refusal(status, answer));
    part("note").textContent = answer?.detail ?? _("The connection was lost. It goes on by itself once it is back.");
    await new Promise((resolve) => setTimeout(resolve, PAUSES[Math.min(tried, PAUSES.length - 1)]));
  }
}

function posted(dataset, batch, onProgress) {
  const form = new FormData();
  for (const { path, file } of batch) form.append("files", file, path);
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.upload.addEventListener("progress", (event) => onProgress(event.loaded));
    const end = () => resolve({ status: request.status, answer: parsed(request.responseText) });
    for (const kind of ["load", "error", "abort"]) request.addEventListener(kind, end);
    request.open("POST", `/api/v1/datasets/${dataset}/files`);
    request.setRequestHeader("X-CSRF-Token", csrf());
    request.send(form);
  });
}

async function ask(address, { method = "GET", json } = {}) {
  const headers = { "X-CSRF-Token": csrf() };
  if (json) headers["Content-Type"] = "application/json";
  for (let tried = 0; ; tried += 1) {
    const answer = await fetch(address, { method, headers, body: json && JSON.stringify(json) }).catch(() => null);
    const document_ = answer && parsed(await answer.text());
    if (answer?.ok) return document_;
    if (answer && ![429, 502, 503, 504].includes(answer.status)) throw new Error(refusal(answer.status, document_));
    part("note").textContent = document_?.detail ?? _("The connection was lost. It goes on by itself once it is back.");
    await new Promise((resolve) => setTimeout(resolve, PAUSES[Math.min(tried, PAUSES.length - 1)]));
  }
}

function refusal(status, answer) {
  if (status === 401) return _("Your session has ended. Sign in again and drop the same folder: only what is missing is sent.");
  return answer?.detail ?? _("The server answered %(status)s.", { status });
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

const stay = (event) => event.preventDefault();

function say(text) {
  part("what").textContent = text;
}

function tell(text) {
  document.getElementById("sending").hidden = false;
  say(text);
}

let refused = 0;
function refuse(text) {
  refused += 1;
  const line = document.createElement("li");
  if (refused > SHOWN_REFUSALS + 1) return;
  line.textContent = refused > SHOWN_REFUSALS ? _("and more") : text;
  part("refused").append(line);
}

function isJunk(path) {
  return path.split("/").some((name) => name.startsWith(".") || name.startsWith("__MACOSX") || name === "Thumbs.db");
}

/** What the dataset is called: the folder around everything, or the first file. */
function nameOf(files) {
  const [first] = files[0].path.split("/");
  return first.replace(/\.zip$/i, "").slice(0, 100).trim() || _("Dataset");
}

// Choosing and dropping, with folders searched to the bottom

for (const [button, input] of [
  ["choose-files", "files"],
  ["choose-folder", "folder"],
]) {
  const field = document.getElementById(input);
  document.getElementById(button)?.addEventListener("click", () => field.click());
  const take = () => {
    const found = [...field.files].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
    field.value = "";
    void bring(found, []);
  };
  field?.addEventListener("change", take);
  if (field?.files.length) take(); // chosen before this script was there
}

if (drop) {
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) drop.classList.remove("over");
  });
  document.addEventListener("drop", async (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    // Entries are only there while the event lasts.
    const items = [...event.dataTransfer.items].filter((item) => item.kind === "file");
    const entries = items.map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile());
    const found = [];
    const unread = [];
    for (const entry of entries) {
      if (entry instanceof File) found.push({ path: entry.name, file: entry });
      else if (entry) await walk(entry, found, unread);
    }
    void bring(found, unread);
  });
}

async function walk(entry, found, unread) {
  const path = entry.fullPath.replace(/^\//, "");
  try {
    if (entry.isFile) {
      found.push({ path, file: await new Promise((resolve, reject) => entry.file(resolve, reject)) });
      if (found.length % 500 === 0)
        tell(ngettext("%(num)s file found …", "%(num)s files found …", found.length));
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      // A folder is read in pieces until it gives none.
      const piece = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (piece.length === 0) return;
      for (const child of piece) await walk(child, found, unread);
    }
  } catch {
    unread.push(_("The browser could not read %(path)s; it was not sent.", { path }));
  }
}
