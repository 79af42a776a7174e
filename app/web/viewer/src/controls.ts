/** The toolbar and the keys: every `data-do` button and its key do one thing, and show whether it is on. */

export type Action =
  | "tool-window"
  | "tool-pan"
  | "tool-zoom"
  | "invert"
  | "heat"
  | "fit"
  | "actual"
  | "reset"
  | "turn"
  | "mirror"
  | "previous"
  | "next";

/** `?` on the page lists the same keys, from the buttons' own titles. */
const KEYS: Record<string, Action> = {
  w: "tool-window",
  p: "tool-pan",
  z: "tool-zoom",
  i: "invert",
  h: "heat",
  f: "fit",
  a: "actual",
  r: "reset",
  t: "turn",
  m: "mirror",
  ",": "previous",
  ".": "next",
};

const TEXTS =
  "textarea, select, [contenteditable], input:not([type=radio]):not([type=checkbox]):not([type=range])";

export function connect(root: HTMLElement, act: (action: Action) => void): void {
  root.querySelectorAll<HTMLButtonElement>("button[data-do]").forEach((button) => {
    button.addEventListener("click", () => act(button.dataset.do as Action));
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || isTyping(event.target)) return;
    const action = KEYS[event.key.toLowerCase()];
    if (!action || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    act(action);
  });
}

export function showPressed(root: HTMLElement, action: Action, on: boolean): void {
  root.querySelector(`button[data-do="${action}"]`)?.setAttribute("aria-pressed", String(on));
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.matches(TEXTS);
}
