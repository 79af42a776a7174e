/** Mouse, pen, touch, wheel and arrow keys on one canvas, told as what the reader wants. */

import { ARROWS } from "./layer";
import type { Point } from "./view";

export type Tool = "window" | "pan" | "zoom" | "magnify" | "length" | "box" | "ellipse";

/** What a drag does; drawing and the magnifier want to know where, the others how far. */
export interface Wishes {
  tool(): Tool;
  /** Something was pressed or a key was used here. */
  turnedTo(): void;
  window(dx: number, dy: number): void;
  pan(dx: number, dy: number): void;
  zoom(factor: number, at: Point): void;
  /** A double press: back to the whole image. */
  fit(): void;
  press(at: Point): void;
  /** The pointer is over the picture, pressed or not. */
  over(at: Point, touch: boolean): void;
  release(at: Point): void;
  /** The pointer has gone. */
  leave(): void;
  /** What was begun is not meant: a second finger came, or the pointer was taken away. */
  drop(): void;
  /** Enter: the tool is used without a pointer. */
  enter(): void;
}

const MIDDLE = 1;
const RIGHT = 2;
const KEY_PAN = 40;
const KEY_WINDOW = 10;
const KEY_ZOOM = 1.25;

export function listen(canvas: HTMLCanvasElement, wishes: Wishes): void {
  const pressed = new Map<number, Point>();
  let dragging: Tool = "window";
  let anchor: Point = { x: 0, y: 0 };
  let pinched = false;

  const place = (event: MouseEvent): Point => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pressed.set(event.pointerId, place(event));
    anchor = place(event);
    wishes.turnedTo();
    if (pressed.size > 1) {
      pinched = true;
      wishes.leave();
      wishes.drop();
      return;
    }
    pinched = false;
    if (event.button === MIDDLE || (event.button === 0 && event.shiftKey)) dragging = "pan";
    else if (event.button === RIGHT) dragging = "zoom";
    else dragging = wishes.tool();
    if (event.button === MIDDLE) event.preventDefault();
    if (placed(dragging)) {
      wishes.press(anchor);
      wishes.over(anchor, event.pointerType === "touch");
    }
  });

  canvas.addEventListener("pointermove", (event) => {
    const before = pressed.get(event.pointerId);
    const now = place(event);
    if (!before) {
      wishes.over(now, event.pointerType === "touch");
      return;
    }
    pressed.set(event.pointerId, now);
    if (pressed.size === 2) pinch(before, now, event.pointerId);
    if (pinched) return; // the finger that stays after a pinch uses no tool
    const dx = now.x - before.x;
    const dy = now.y - before.y;
    if (dragging === "window") wishes.window(dx, dy);
    else if (dragging === "pan") wishes.pan(dx, dy);
    else if (dragging === "zoom") wishes.zoom(Math.exp(-dy / 150), anchor);
    else wishes.over(now, event.pointerType === "touch");
  });

  const release = (event: PointerEvent) => {
    if (!pressed.delete(event.pointerId)) return;
    if (!pinched && placed(dragging)) wishes.release(place(event));
    if (event.pointerType === "touch") wishes.leave();
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", (event) => {
    if (pressed.delete(event.pointerId)) wishes.drop();
    wishes.leave();
  });
  canvas.addEventListener("pointerleave", () => {
    if (pressed.size === 0) wishes.leave();
  });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("dblclick", () => {
    if (!placed(wishes.tool())) wishes.fit();
  });

  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 33 : 1;
      wishes.zoom(Math.exp((-event.deltaY * lines) / 500), place(event));
    },
    { passive: false },
  );

  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const towards = ARROWS[event.key];
    const middle = { x: canvas.clientWidth / 2, y: canvas.clientHeight / 2 };
    if (towards && event.shiftKey) wishes.window(towards.x * KEY_WINDOW, towards.y * KEY_WINDOW);
    else if (towards) wishes.pan(-towards.x * KEY_PAN, -towards.y * KEY_PAN);
    else if (event.key === "+" || event.key === "=") wishes.zoom(KEY_ZOOM, middle);
    else if (event.key === "-") wishes.zoom(1 / KEY_ZOOM, middle);
    else if (event.key === "Enter") {
      if (!event.repeat) wishes.enter();
    }
    else return;
    event.preventDefault();
  });

  /** Two fingers zoom about their middle and pan with it. */
  function pinch(before: Point, now: Point, moved: number): void {
    const other = [...pressed].find(([id]) => id !== moved)![1];
    const apart = (point: Point) => Math.max(Math.hypot(point.x - other.x, point.y - other.y), 1);
    const middle = { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 };
    wishes.pan((now.x - before.x) / 2, (now.y - before.y) / 2);
    wishes.zoom(apart(now) / apart(before), middle);
  }
}

/** Whether the tool does something at a place, rather than along a way. */
function placed(tool: Tool): boolean {
  return tool !== "window" && tool !== "pan" && tool !== "zoom";
}
