/** The magnifier: a round window under the pointer that shows the stored pixels at twice the size, or one to one. */

import { Renderer, type Picture } from "./renderer";
import { type Point, View } from "./view";

const SIDE = 240;
/** A finger covers what it points at, so the lens stands above it. */
const ABOVE_FINGER = 140;

export class Lens {
  private renderer: Renderer | null = null;
  private canvas: HTMLCanvasElement | null = null;

  constructor(private readonly surface: HTMLElement) {}

  show(at: Point, view: View, picture: Picture, touch: boolean): void {
    if (!this.canvas) {
      this.canvas = document.createElement("canvas");
      this.canvas.className = "lens";
      this.canvas.setAttribute("aria-hidden", "true");
      this.surface.append(this.canvas);
      this.renderer = new Renderer(this.canvas);
    }
    this.renderer!.resize();
    const closer = new View(view.image, view.aspect, { width: SIDE, height: SIDE });
    closer.quarterTurns = view.quarterTurns;
    closer.mirrored = view.mirrored;
    closer.scale = Math.max(2 * view.scale, 1 / devicePixelRatio);
    closer.centre = view.toImage(at);
    this.renderer!.paint(closer, picture);
    this.canvas.dataset.magnified = String(Math.round((closer.scale / view.scale) * 100) / 100);
    // Assigned one by one: the style attribute is forbidden by the Content-Security-Policy, the property is not.
    this.canvas.style.left = `${at.x - SIDE / 2}px`;
    this.canvas.style.top = `${at.y - SIDE / 2 - (touch ? ABOVE_FINGER : 0)}px`;
  }

  hide(): void {
    this.canvas?.remove();
    this.canvas = null;
    this.renderer = null;
  }
}
