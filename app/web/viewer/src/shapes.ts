/** What is drawn on the pictures: lengths for whoever looks, boxes and ellipses that belong to a finding. */

import { _ } from "./texts";
import type { Point } from "./view";

export type Kind = "length" | "box" | "ellipse";

/** `a` and `b` are the ends of a length, or opposite corners; in pixels of the full-size image, its corner at 0, 0. */
export interface Shape {
  kind: Kind;
  image: string;
  a: Point;
  b: Point;
  /** Empty for a length. */
  finding: string;
  /** Part of a review that is only shown. */
  fixed: boolean;
}

export interface Spacing {
  /** Millimetres between rows and between columns; null where the header has none. */
  spacing: [number, number] | null;
  atDetector: boolean;
}

/** How long `a` to `b` is, in the words of the label. */
export function lengthOf(a: Point, b: Point, { spacing, atDetector }: Spacing): string {
  const [down, across] = spacing ?? [1, 1];
  const length = Math.hypot((b.x - a.x) * across, (b.y - a.y) * down);
  if (!spacing) return _("%(count)s pixels", { count: Math.round(length) });
  const values = { length: length.toFixed(1) };
  return atDetector ? _("%(length)s mm at the detector", values) : _("%(length)s mm", values);
}

/** All shapes of the page, whichever image is on the screen; tells whoever listens when one changes. */
export class Shapes {
  selected: Shape | null = null;
  /** Still under the pointer that draws it. */
  unfinished: Shape | null = null;
  private all: Shape[] = [];
  private past: (() => void)[] = [];
  private readonly listeners: (() => void)[] = [];

  of(image: string): Shape[] {
    return this.all.filter((shape) => shape.image === image);
  }

  marks(): Shape[] {
    return this.all.filter((shape) => shape.kind !== "length" && !shape.fixed && shape !== this.unfinished);
  }

  add(shape: Shape): void {
    this.all.push(shape);
    this.changed();
  }

  remove(shape: Shape): void {
    this.all = this.all.filter((one) => one !== shape);
    if (this.selected === shape) this.selected = null;
    this.changed();
  }

  /** As `remove`, and can be taken back. */
  delete(shape: Shape): void {
    this.remember(() => this.all.push(shape));
    this.remove(shape);
  }

  /** What has just been done is taken back by `back`. */
  remember(back: () => void): void {
    this.past.push(back);
  }

  /** What was done last is taken back; false where there is nothing. */
  undo(): boolean {
    const back = this.past.pop();
    if (!back) return false;
    back();
    this.changed();
    return true;
  }

  /** What was done before is not taken back any more. */
  settle(): void {
    this.past = [];
  }

  /** Those that `which` picks give way to `others`. */
  replace(which: (shape: Shape) => boolean, others: Shape[]): void {
    this.all = [...this.all.filter((shape) => !which(shape)), ...others];
    if (this.selected && !this.all.includes(this.selected)) this.selected = null;
    this.changed();
  }

  select(shape: Shape | null): void {
    if (this.selected === shape) return;
    this.selected = shape;
    this.changed();
  }

  onChange(listener: () => void): void {
    this.listeners.push(listener);
  }

  changed(): void {
    for (const listener of this.listeners) listener();
  }
}
