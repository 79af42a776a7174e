/** Mouse, pen, touch and wheel on the canvas, told as what the reader wants. */

import type { Point } from "./view";

export type Tool = "window" | "pan" | "zoom";

export interface Wishes {
  tool(): Tool;
  window(dx: number, dy: number): void;
  pan(dx: number, dy: number): void;
  zoom(factor: number, at: Point): void;
  /** A double press: back to the whole image. */
  fit(): void;
}

const MIDDLE = 1;
const RIGHT = 2;

export function listen(canvas: HTMLCanvasElement, wishes: Wishes): void {
  const pressed = new Map<number, Point>();
  let dragging: Tool = "window";
  let anchor: Point = { x: 0, y: 0 };

  const place = (event: PointerEvent | WheelEvent): Point => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pressed.set(event.pointerId, place(event));
    anchor = place(event);
    if (event.button === MIDDLE || (event.button === 0 && event.shiftKey)) dragging = "pan";
    else if (event.button === RIGHT) dragging = "zoom";
    else dragging = wishes.tool();
    if (event.button === MIDDLE) event.preventDefault();
  });

  canvas.addEventListener("pointermove", (event) => {
    const before = pressed.get(event.pointerId);
    if (!before) return;
    const now = place(event);
    pressed.set(event.pointerId, now);
    if (pressed.size === 2) {
      pinch(before, now, event.pointerId);
      return;
    }
    const dx = now.x - before.x;
    const dy = now.y - before.y;
    if (dragging === "window") wishes.window(dx, dy);
    else if (dragging === "pan") wishes.pan(dx, dy);
    else wishes.zoom(Math.exp(-dy / 150), anchor);
  });

  const release = (event: PointerEvent) => pressed.delete(event.pointerId);
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("dblclick", () => wishes.fit());

  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 33 : 1;
      wishes.zoom(Math.exp((-event.deltaY * lines) / 500), place(event));
    },
    { passive: false },
  );

  /** Two fingers zoom about their middle and pan with it. */
  function pinch(before: Point, now: Point, moved: number): void {
    const other = [...pressed].find(([id]) => id !== moved)![1];
    const apart = (point: Point) => Math.max(Math.hypot(point.x - other.x, point.y - other.y), 1);
    const middle = { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 };
    wishes.pan((now.x - before.x) / 2, (now.y - before.y) / 2);
    wishes.zoom(apart(now) / apart(before), middle);
  }
}
