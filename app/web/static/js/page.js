// What every page does: the keys' list, dark or light, and forms that are sent once.

import { forgetAllDrafts } from "./drafts.js";
import "./explain.js";
import { isTyping } from "./shared.js";

const help = document.getElementById("help");

function toggleHelp() {
  if (!help) return;
  if (help.open) help.close();
  else help.showModal();
}

document.querySelector("[data-help]")?.addEventListener("click", toggleHelp);
document.querySelector("[data-theme-toggle]")?.addEventListener("click", () => {
  const light = document.documentElement.dataset.theme !== "light";
  if (light) document.documentElement.dataset.theme = "light";
  else delete document.documentElement.dataset.theme;
  try {
    localStorage.setItem("theme", light ? "light" : "dark");
  } catch {
    // Storage is switched off: the choice lasts as long as the page.
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key === "?" && !isTyping(event.target) && !document.querySelector("#content[data-ahead]")) {
    event.preventDefault();
    toggleHelp();
  }
});

// A form pressed twice is sent once; the server holds the same rule for those without scripts.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.getAttribute("action") === "/sign-out") forgetAllDrafts();
  if (!form.matches("[data-once]")) return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  const question = event.submitter?.dataset.confirm ?? form.dataset.confirm;
  if (question && !window.confirm(question)) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
});
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});
