// What the layers see: a file is sent with the session's token, then the page of its look opens and waits.

import "./looking.js";
import { csrf } from "./shared.js";
import { _ } from "./texts.js";

const form = document.getElementById("file-form");
const problem = document.getElementById("file-problem");

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  if (button.disabled) return;
  button.disabled = true;
  problem.hidden = true;
  const answer = await fetch("/api/v1/layers", {
    method: "POST",
    headers: { "X-CSRF-Token": csrf() },
    body: new FormData(form),
  }).catch(() => null);
  const said = await answer?.json().catch(() => null);
  if (answer?.status === 202 && said) {
    location.assign(said.page_url);
  } else {
    problem.textContent = said?.detail ?? _("The server did not answer. Try again.");
    problem.hidden = false;
  }
  button.disabled = false;
});
