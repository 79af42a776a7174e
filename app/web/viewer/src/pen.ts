/** Drawing a shape: pressed and dragged, or its two ends clicked one after the other. */

import type { Kind, Shape, Shapes } from "./shapes";
import type { Point, View } from "./view";

/** A press that moves less, in CSS pixels, is a click. */
const CLICK = 4;

export class Pen {
  private shape: Shape | null = null;
  private from: Point = { x: 0, y: 0 };
  /** One end is clicked; the other follows the pointer until it is clicked too. */
  private waiting = false;
  private view: View | null = null;

  constructor(private readonly shapes: Shapes) {}

  /** `begin` makes the shape at its first point. */
  press(at: Point, view: View, begin: (point: Point) => Shape): void {
    if (this.waiting) {
      if (view === this.view) return this.follow(at, view);
      this.drop();
    }
    this.view = view;
    this.from = at;
    this.shape = begin(view.inside(view.toImage(at)));
    this.shapes.unfinished = this.shape;
    this.shapes.add(this.shape);
    this.shapes.select(this.shape);
  }

  follow(at: Point, view: View): void {
    if (!this.shape || view !== this.view) return;
    this.shape.b = view.inside(view.toImage(at));
    this.shapes.changed();
  }

  /** The shape where it is finished now. */
  release(at: Point): Shape | null {
    const { shape } = this;
    if (!shape) return null;
    const far = Math.hypot(at.x - this.from.x, at.y - this.from.y) >= CLICK;
    if (!far && !this.waiting) {
      this.waiting = true;
      return null;
    }
    if (!far || flat(shape)) {
      this.drop();
      return null;
    }
    this.rest();
    this.shapes.changed();
    return shape;
  }

  /** What is not finished goes. */
  drop(): void {
    const { shape } = this;
    this.rest();
    if (shape) this.shapes.remove(shape);
  }

  private rest(): void {
    this.shape = this.view = this.shapes.unfinished = null;
    this.waiting = false;
  }
}

/** A quarter of what is seen, in its middle: what a key draws. */
export function inTheMiddle(kind: Kind, image: string, finding: string, view: View): Shape {
  const { width, height } = view.viewport;
  const corner = (x: number, y: number) => view.inside(view.toImage({ x: width * x, y: height * y }));
  const [a, b] = kind === "length" ? [corner(0.4, 0.5), corner(0.6, 0.5)] : [corner(0.4, 0.4), corner(0.6, 0.6)];
  return { kind, image, a, b, finding, fixed: false };
}

function flat({ kind, a, b }: Shape): boolean {
  return kind !== "length" && (Math.abs(a.x - b.x) < 1 || Math.abs(a.y - b.y) < 1);
}
