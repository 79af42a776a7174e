// What several pages use. It does nothing by itself, so it may be loaded more than once.

const TEXTS = "textarea, select, [contenteditable], input:not([type=radio]):not([type=checkbox]):not([type=range])";

export function isTyping(target) {
  return target instanceof HTMLElement && target.matches(TEXTS);
}

export function csrf() {
  return document.body.dataset.csrf ?? "";
}
