/** The shapes of one picture as SVG over its canvas: each can be moved, reshaped and deleted, by hand and by keys. */

import { lengthOf, type Shape, type Shapes } from "./shapes";
import type { StudyImage } from "./source";
import { _, N_ } from "./texts";
import type { Point, View } from "./view";

const SVG = "http://www.w3.org/2000/svg";
const STEP = 1;
const LONG_STEP = 10;
const GAP = 8;
const EDGE = 4;

/** Which corner of the shape a handle moves: of `a` or `b`, in x and in y. */
interface Handle {
  x: "a" | "b";
  y: "a" | "b";
  spot: SVGElement;
  dot: SVGElement;
}

interface Drawn {
  group: SVGElement;
  bodies: SVGElement[];
  label: HTMLElement;
  handles: Handle[];
}

export class ShapeLayer {
  private readonly drawn = new Map<Shape, Drawn>();
  /** The words of the shapes, each on a plate of its own: they can be read whatever the picture shows below. */
  private readonly labels = document.createElement("div");

  constructor(
    private readonly svg: SVGSVGElement,
    private readonly shapes: Shapes,
    canvas: HTMLCanvasElement,
    private readonly view: () => View | null,
  ) {
    this.labels.className = "labels";
    this.labels.setAttribute("aria-hidden", "true"); // each shape says the same of itself
    svg.after(this.labels);
    // A shape under the pointer does not keep the wheel from the picture.
    svg.addEventListener("wheel", (event) => {
      event.preventDefault();
      canvas.dispatchEvent(new WheelEvent("wheel", event));
    });
  }

  paint(image: StudyImage, view: View): void {
    const present = this.shapes.of(image.id);
    for (const [shape, { group, label }] of this.drawn) {
      if (present.includes(shape)) continue;
      group.remove();
      label.remove();
      this.drawn.delete(shape);
    }
    for (const shape of present) {
      if (!this.drawn.has(shape)) this.drawn.set(shape, this.begin(shape));
      this.place(shape, this.drawn.get(shape)!, view, image);
    }
  }

  private place(shape: Shape, drawn: Drawn, view: View, image: StudyImage): void {
    const matrix = view.matrix();
    const a = matrix.transformPoint(shape.a);
    const b = matrix.transformPoint(shape.b);
    const left = Math.min(a.x, b.x);
    const top = Math.min(a.y, b.y);
    const width = Math.abs(b.x - a.x);
    const height = Math.abs(b.y - a.y);
    const words = shape.kind === "length" ? lengthOf(shape.a, shape.b, image) : _(shape.finding);
    for (const body of drawn.bodies) {
      if (shape.kind === "length") set(body, { x1: a.x, y1: a.y, x2: b.x, y2: b.y });
      else if (shape.kind === "box") set(body, { x: left, y: top, width, height });
      else set(body, { cx: left + width / 2, cy: top + height / 2, rx: width / 2, ry: height / 2 });
    }
    // The words stay inside the picture, beside the shape where there is room.
    const { label } = drawn;
    if (label.textContent !== words) label.textContent = words;
    const room = { x: view.viewport.width - label.offsetWidth - EDGE, y: view.viewport.height - label.offsetHeight - EDGE };
    const middle = shape.kind === "length" ? top + height / 2 : top;
    // Assigned one by one: the style attribute is forbidden by the Content-Security-Policy, the property is not.
    label.style.left = `${Math.max(Math.min(left + width + GAP, room.x), EDGE)}px`;
    label.style.top = `${Math.max(Math.min(middle - label.offsetHeight / 2, room.y), EDGE)}px`;
    drawn.bodies[0].setAttribute("aria-label", `${_(NAMES[shape.kind])}, ${words}`);
    for (const { x, y, spot, dot } of drawn.handles) {
      const at = matrix.transformPoint({ x: shape[x].x, y: shape[y].y });
      for (const circle of [spot, dot]) set(circle, { cx: at.x, cy: at.y });
    }
    drawn.group.classList.toggle("selected", this.shapes.selected === shape);
    drawn.group.classList.toggle("unfinished", this.shapes.unfinished === shape);
  }

  private begin(shape: Shape): Drawn {
    const group = this.svg.appendChild(make("g", `shape ${shape.kind}${shape.fixed ? " fixed" : ""}`));
    const element = { length: "line", box: "rect", ellipse: "ellipse" }[shape.kind];
    const bodies = ["grab", "halo", "edge"].map((kind) => group.appendChild(make(element, kind)));
    const label = this.labels.appendChild(document.createElement("span"));
    label.className = shape.kind;
    const handles: Handle[] = [];
    if (shape.fixed) bodies[0].setAttribute("role", "img");
    else {
      this.obey(bodies[0], shape, (dx, dy) => {
        for (const point of [shape.a, shape.b]) Object.assign(point, { x: point.x + dx, y: point.y + dy });
      });
      const corners = shape.kind === "length" ? (["aa", "bb"] as const) : (["aa", "ab", "ba", "bb"] as const);
      for (const corner of corners) {
        const [x, y] = corner as unknown as ["a" | "b", "a" | "b"];
        const dot = group.appendChild(make("circle", "dot"));
        const spot = group.appendChild(make("circle", "spot"));
        set(dot, { r: 4 });
        set(spot, { r: 12 });
        spot.setAttribute("aria-label", shape.kind === "length" ? _("End of the length") : _("Corner"));
        this.obey(spot, shape, (dx, dy) => {
          shape[x].x += dx;
          shape[y].y += dy;
        });
        handles.push({ x, y, spot, dot });
      }
    }
    return { group, bodies, label, handles };
  }

  /** The element moves its shape when dragged or told by arrow keys; never beyond the image. */
  private obey(element: SVGElement, shape: Shape, move: (dx: number, dy: number) => void): void {
    element.setAttribute("tabindex", "0");
    element.setAttribute("role", "button");
    element.addEventListener("focus", () => this.shapes.select(shape));
    let from: Point | null = null;
    let moved = false;
    const remember = () => {
      const [a, b] = [{ ...shape.a }, { ...shape.b }];
      this.shapes.remember(() => Object.assign(shape, { a, b }));
    };
    const by = (to: Point, start: Point) => {
      const view = this.view();
      if (!view) return;
      const [before, after] = [view.toImage(start), view.toImage(to)];
      const [a, b] = [{ ...shape.a }, { ...shape.b }];
      move(after.x - before.x, after.y - before.y);
      if (!view.holds(shape.a) || !view.holds(shape.b)) Object.assign(shape, { a, b });
      this.shapes.changed();
    };
    element.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      event.preventDefault();
      element.setPointerCapture(event.pointerId);
      element.focus({ preventScroll: true });
      from = { x: event.clientX, y: event.clientY };
      moved = false;
    });
    element.addEventListener("pointermove", (event) => {
      if (!from) return;
      const to = { x: event.clientX, y: event.clientY };
      if (!moved) remember();
      moved = true;
      by(to, from);
      from = to;
    });
    const release = () => (from = null);
    element.addEventListener("pointerup", release);
    element.addEventListener("pointercancel", release);
    element.addEventListener("keydown", (event) => {
      const towards = ARROWS[event.key];
      if (!towards || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      event.stopPropagation();
      const step = event.shiftKey ? LONG_STEP : STEP;
      remember();
      by({ x: towards.x * step, y: towards.y * step }, { x: 0, y: 0 });
    });
  }
}

export const ARROWS: Record<string, Point> = {
  ArrowLeft: { x: -1, y: 0 },
  ArrowRight: { x: 1, y: 0 },
  ArrowUp: { x: 0, y: -1 },
  ArrowDown: { x: 0, y: 1 },
};

const NAMES = { length: N_("Length"), box: N_("Box"), ellipse: N_("Ellipse") };

function make(name: string, kind: string): SVGElement {
  const element = document.createElementNS(SVG, name);
  element.setAttribute("class", kind);
  return element;
}

function set(element: SVGElement, attributes: Record<string, number | string>): void {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
}
