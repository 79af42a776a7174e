/** The toolbar and the keys: every `data-do` button and its key do one thing, and show whether it is on. */

import type { Tool } from "./input";
import { isShown } from "./shown";

export type Action =
  | `tool-${Tool}`
  | "invert"
  | "heat"
  | "opacity"
  | "fit"
  | "actual"
  | "reset"
  | "turn"
  | "mirror"
  | "delete"
  | "layout"
  | "link"
  | "previous"
  | "next";

/** `?` on the page lists the same keys, from the buttons' own titles. */
const KEYS: Record<string, Action> = {
  w: "tool-window",
  p: "tool-pan",
  z: "tool-zoom",
  g: "tool-magnify",
  d: "tool-length",
  x: "tool-box",
  e: "tool-ellipse",
  i: "invert",
  h: "heat",
  o: "opacity",
  f: "fit",
  a: "actual",
  r: "reset",
  t: "turn",
  m: "mirror",
  delete: "delete",
  backspace: "delete",
  v: "layout",
  k: "link",
  ",": "previous",
  ".": "next",
};

const TEXTS =
  "textarea, select, [contenteditable], input:not([type=radio]):not([type=checkbox]):not([type=range])";

/** `escape` is pressed where nothing else takes it; `takeBack` says whether there was something to take back. */
export function connect(
  root: HTMLElement,
  act: (action: Action) => void,
  escape: () => void,
  takeBack: () => boolean,
): void {
  root.querySelectorAll<HTMLButtonElement>("button[data-do]").forEach((button) => {
    button.addEventListener("click", () => act(button.dataset.do as Action));
  });
  document.addEventListener("keydown", (event) => {
    if (!isShown()) return;
    const undo = event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey;
    // What is done on the picture came after the signature that the page may offer to undo, and goes before it.
    if (undo && !isTyping(event.target) && !document.querySelector("dialog[open]") && takeBack()) event.preventDefault();
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || isTyping(event.target)) return;
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "Escape") return escape();
    const action = KEYS[event.key.toLowerCase()];
    if (!action) return;
    const button = buttonOf(root, action);
    if (button ? button.disabled : !isStep(action) && action !== "opacity") return;
    event.preventDefault();
    act(action);
  });
}

export function showPressed(root: HTMLElement, action: Action, on: boolean): void {
  buttonOf(root, action)?.setAttribute("aria-pressed", String(on));
}

export function enable(root: HTMLElement, action: Action, on: boolean): void {
  const button = buttonOf(root, action);
  if (button) button.disabled = !on;
}

function buttonOf(root: HTMLElement, action: Action): HTMLButtonElement | null {
  return root.querySelector<HTMLButtonElement>(`button[data-do="${action}"]`);
}

/** Steps from image to image have no button of their own: the strip has one for each image. */
function isStep(action: Action): boolean {
  return action === "previous" || action === "next";
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.matches(TEXTS);
}
