// A candidate tried on files of one's own: each is sent, a worker answers, and what both networks say stands here.

import { csrf } from "./shared.js";
import { _ } from "./texts.js";

const MOST = 8;
const part = document.getElementById("try");
const form = document.getElementById("try-form");
const problem = document.getElementById("try-problem");
const shown = document.getElementById("tried");

const LANES = { "rule-in": () => _("rule-in"), abstain: () => _("abstain"), "rule-out": () => _("rule-out") };

function element(name, text, className) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function words(said) {
  if (said.outcome !== "screened") return said.reason ?? "";
  const found = Object.entries(said.findings).map(
    ([name, one]) => `${_(name)} ${one.probability.toFixed(2)} (${LANES[one.lane]()})`,
  );
  return [...found, ...said.notices].join("; ");
}

async function ask(file) {
  const figure = element("figure", "", "panel");
  figure.append(element("strong", file.name), element("p", _("A worker is looking.")));
  shown.append(figure);
  const say = (text) => figure.querySelector("p").replaceChildren(text);
  const body = new FormData();
  body.append("file", file);
  const answer = await fetch(`/api/v1/models/${part.dataset.bundle}/tries`, {
    method: "POST",
    headers: { "X-CSRF-Token": csrf() },
    body,
  }).catch(() => null);
  const asked = await answer?.json().catch(() => null);
  if (answer?.status !== 202 || !asked) {
    say(asked?.detail ?? _("The server did not answer. Try again."));
    return;
  }
  for (;;) {
    await new Promise((then) => setTimeout(then, 1000));
    const told = await fetch(asked.url).then((one) => one.json(), () => null);
    if (!told || told.state === "waiting") continue;
    if (told.state !== "done") {
      say(told.reason ?? told.detail ?? "");
      return;
    }
    const picture = element("img");
    picture.src = `data:image/jpeg;base64,${told.picture}`;
    picture.alt = file.name;
    picture.className = "tried-picture";
    const list = element("dl", "", "facts");
    list.append(element("dt", _("this network")), element("dd", words(told.candidate)));
    list.append(element("dt", told.active.network), element("dd", words(told.active)));
    figure.replaceChildren(element("strong", file.name), picture, list);
    return;
  }
}

async function askAll(files) {
  const button = form.querySelector("button");
  problem.hidden = files.length <= MOST;
  problem.textContent = _("Eight files at a time, please.");
  if (files.length > MOST || !files.length || button.disabled) return;
  button.disabled = true;
  shown.replaceChildren();
  for (const file of files) await ask(file);
  button.disabled = false;
}

form?.addEventListener("submit", (event) => {
  event.preventDefault();
  askAll([...form.querySelector("input[type=file]").files]);
});

if (form) {
  // Anywhere on the page: beside its mark a browser would leave the page and open the file.
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    part.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) part.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    part.classList.remove("over");
    if (!event.dataTransfer.files.length) return;
    part.scrollIntoView({ block: "nearest" });
    askAll([...event.dataTransfer.files]);
  });
}
