/** What stands in the corners of a picture: what its header says of it, and how it is shown. */

import type { Picture } from "./renderer";
import type { StudyImage } from "./source";
import { _ } from "./texts";
import type { View } from "./view";
import { isTable } from "./windowing";

export function setText(within: HTMLElement, selector: string, text: string): void {
  const element = within.querySelector<HTMLElement>(selector);
  if (element && element.textContent !== text) element.textContent = text;
}

/** The words of the image's own header, and why the network has not read it. */
export function tellImage(pane: HTMLElement, image: StudyImage): void {
  for (const corner of ["topLeft", "topRight", "bottomLeft"] as const) {
    setText(pane, `[data-overlay="${corner}"]`, image.overlay[corner].join("\n"));
  }
  setText(pane, "[data-not-read]", image.notRead ?? "");
}

/** Window, zoom, and whatever is not as it was sent; the data attributes of the pane say the same. */
export function tellShown(pane: HTMLElement, view: View, { voi, invert, heat }: Picture): void {
  const { dataset } = pane;
  const window = voi && !isTable(voi) ? voi : null;
  const scale = view.scale * devicePixelRatio;
  dataset.invert = String(invert);
  dataset.heat = String(heat !== null);
  dataset.scale = String(Math.round(scale * 1000) / 1000);
  dataset.window = window ? `${round(window.center)},${round(window.width)}` : "";
  setText(pane, "[data-zoom]", `${Math.round(scale * 100)} %`);
  setText(pane, "[data-window-text]", window ? `C ${round(window.center)}  W ${round(window.width)}` : "");
  setText(pane, "[data-altered]", alterations(view, invert).join("\n"));
}

/** A mirrored radiograph looks like a patient with the heart on the right: nobody has to remember the key. */
function alterations(view: View, invert: boolean): string[] {
  const words: string[] = [];
  if (view.mirrored) words.push(_("Mirrored"));
  if (view.quarterTurns) words.push(_("Turned by %(degrees)s°", { degrees: 90 * view.quarterTurns }));
  if (invert) words.push(_("Inverted"));
  return words;
}

function round(value: number): number {
  return Math.abs(value) >= 100 ? Math.round(value) : Math.round(value * 100) / 100;
}
