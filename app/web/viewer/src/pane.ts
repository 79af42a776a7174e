/**
 * One picture: its canvas and corners, how it is loaded, windowed, placed and drawn on.
 *
 * Tells what it does through data attributes of its element (state, window, scale, invert, heat, painted).
 */

import { setText, tellImage, tellShown } from "./corners";
import { listen, type Tool } from "./input";
import { ShapeLayer } from "./layer";
import { Lens } from "./lens";
import { inTheMiddle, type Pen } from "./pen";
import { Renderer, type Picture } from "./renderer";
import type { Kind, Shape, Shapes } from "./shapes";
import { soon } from "./shown";
import { type FullDepth, type StudyImage, loadFullDepth, loadPreview, NotShown } from "./source";
import { _ } from "./texts";
import { type Point, View } from "./view";
import { between, dragged, isFlipped, isTable, type Voi, type Window } from "./windowing";

/** What panes share, and what they tell. */
export interface Desk {
  tool(): Tool;
  shapes: Shapes;
  pen: Pen;
  /** The finding a new mark belongs to; null where this pane's picture takes no marks. */
  findingFor(pane: Pane): string | null;
  /** A shape is finished. */
  drawn(shape: Shape): void;
  chosen(pane: Pane): void;
  /** The reader drags the window here; linked panes follow. */
  windowDragged(pane: Pane, dx: number, dy: number): void;
  /** Another image, or its windows have arrived. */
  presented(pane: Pane): void;
  painted(pane: Pane, something: boolean): void;
}

export class Pane {
  readonly picture: Picture = { preview: null, full: null, voi: null, invert: false, heat: null, heatOpacity: 0.45 };
  view: View | null = null;
  images: StudyImage[] = [];
  shown = -1;
  presets: Voi[] = [];
  readonly canvas: HTMLCanvasElement;
  private readonly renderer: Renderer;
  private readonly layer: ShapeLayer;
  /** Shows the picture as it was: it goes with whatever changes that. */
  readonly lens: Lens;
  private readonly resizing: ResizeObserver;
  private fetching = new AbortController();
  private due = false;

  constructor(
    readonly element: HTMLElement,
    readonly prior: boolean,
    private readonly desk: Desk,
  ) {
    this.canvas = element.querySelector("canvas")!;
    this.renderer = new Renderer(this.canvas);
    this.layer = new ShapeLayer(element.querySelector("svg")!, desk.shapes, this.canvas, () => this.view);
    this.lens = new Lens(this.canvas.parentElement!);
    this.resizing = new ResizeObserver(() => this.fit() && this.paint());
    this.resizing.observe(this.canvas);
    this.canvas.addEventListener("focus", () => desk.chosen(this));
    listen(this.canvas, {
      tool: () => desk.tool(),
      turnedTo: () => {
        desk.chosen(this);
        desk.shapes.select(null);
      },
      window: (dx, dy) => desk.windowDragged(this, dx, dy),
      pan: (dx, dy) => this.change((view) => view.pan(dx, dy)),
      zoom: (factor, at) => this.change((view) => view.zoom(factor, at)),
      fit: () => this.change((view) => view.fit()),
      press: (at) => this.press(at),
      over: (at, touch) => this.over(at, touch),
      release: (at) => this.release(at),
      leave: () => this.lens.hide(),
      drop: () => desk.pen.drop(),
      enter: () => this.drawInTheMiddle(),
    });
  }

  get image(): StudyImage | null {
    return this.images[this.shown] ?? null;
  }

  /** Aborted once another image is shown here. */
  get signal(): AbortSignal {
    return this.fetching.signal;
  }

  /** Resolves once the image is at full depth, or will not be. The full depth is fetched after `before`. */
  async show(images: StudyImage[], index: number, before: Promise<unknown> = Promise.resolve()): Promise<void> {
    const image = images[index];
    if (!image || image === this.image) return;
    this.lens.hide();
    this.images = images;
    this.shown = index;
    this.fetching.abort();
    this.fetching = new AbortController();
    Object.assign(this.picture, { preview: null, full: null, voi: null, heat: null, invert: false });
    this.presets = [];
    this.view = image.rows && image.columns ? this.viewOf(image.columns, image.rows, image) : null;
    this.setState("loading", _("Fetching the image …"));
    tellImage(this.element, image);
    this.canvas.setAttribute("aria-label", `${this.prior ? _("Prior radiograph") : _("Radiograph")} ${image.name}`);
    this.desk.presented(this);
    this.repaint();
    await this.fetch(image, this.fetching.signal, before);
  }

  /** Nothing can be shown, and why. */
  fail(words: string): void {
    this.setState("failed", words);
  }

  /** Lets go of everything; the element is the caller's. */
  close(): void {
    this.fetching.abort();
    this.resizing.disconnect();
    this.lens.hide();
  }

  change(how: (view: View) => void): void {
    if (!this.view) return;
    how(this.view);
    this.lens.hide();
    this.repaint();
  }

  dragWindow(dx: number, dy: number): void {
    const { voi, full, invert } = this.picture;
    if (!voi || !full) return;
    const from: Window = isTable(voi) ? between(voi.first, voi.first + voi.values.length - 1, _("Own")) : voi;
    this.setVoi(dragged(from, dx, dy, isFlipped(full.scale, invert)));
  }

  setVoi(voi: Voi): void {
    this.lens.hide();
    this.picture.voi = voi;
    this.repaint();
  }

  /** The window of that name, where this image has one. */
  setPreset(name: string): void {
    const voi = this.presets.find((preset) => preset.name === name);
    if (voi) this.setVoi(voi);
  }

  setInvert(on: boolean): void {
    this.lens.hide();
    this.picture.invert = on;
    this.repaint();
  }

  /** One image pixel for one of the screen. */
  actual(): void {
    this.change((view) => view.zoomTo(1 / devicePixelRatio, this.middle()));
  }

  repaint(): void {
    if (this.due) return;
    this.due = true;
    soon(() => {
      this.due = false;
      this.fit(); // nobody says that the screen has other pixels, or how large it is before there are frames
      this.paint();
    });
  }

  text(selector: string, text: string): void {
    setText(this.element, selector, text);
  }

  private async fetch(image: StudyImage, signal: AbortSignal, before: Promise<unknown>): Promise<void> {
    const preview = loadPreview(image.preview).then(
      (bitmap) => {
        if (signal.aborted || this.picture.full) return;
        this.picture.preview = bitmap;
        this.view ??= this.viewOf(bitmap.width, bitmap.height, image);
        this.setState("preview", _("Preview; fetching full depth …"));
        this.repaint();
      },
      () => undefined, // the full image says what is wrong
    );
    try {
      await before;
      if (signal.aborted) return;
      const full = await loadFullDepth(image, signal);
      if (!signal.aborted) this.present(image, full);
    } catch (error) {
      if (signal.aborted) return;
      await preview;
      const reason = error instanceof NotShown ? error.message : _("The image did not arrive. Reload to try again.");
      this.setState(this.picture.preview ? "preview-only" : "failed", reason);
    }
  }

  private present(image: StudyImage, full: FullDepth): void {
    const { width, height } = full.pyramid.full;
    if (!this.view || this.view.image.width !== width || this.view.image.height !== height) {
      this.view = this.viewOf(width, height, image);
    }
    this.picture.full = full;
    this.presets = full.presets;
    this.setVoi(full.presets[0]);
    this.desk.presented(this);
    this.setState("full", "");
  }

  private press(at: Point): void {
    const tool = this.desk.tool();
    const { view, image } = this;
    if (tool === "magnify" || !view || !image) return;
    const finding = tool === "length" ? "" : this.desk.findingFor(this);
    if (finding === null) return this.desk.pen.drop();
    this.desk.pen.press(at, view, (a) => ({ kind: tool as Kind, image: image.id, a, b: { ...a }, finding, fixed: false }));
  }

  private over(at: Point, touch: boolean): void {
    if (!this.view) return;
    if (this.desk.tool() === "magnify") this.lens.show(at, this.view, this.picture, touch);
    else this.desk.pen.follow(at, this.view);
  }

  private release(at: Point): void {
    const shape = this.desk.pen.release(at);
    if (shape) this.desk.drawn(shape);
  }

  private drawInTheMiddle(): void {
    const tool = this.desk.tool();
    const { view, image } = this;
    if (!view || !image) return;
    if (tool === "magnify") return this.lens.show(this.middle(), view, this.picture, false);
    if (tool !== "length" && tool !== "box" && tool !== "ellipse") return;
    const finding = tool === "length" ? "" : this.desk.findingFor(this);
    if (finding === null) return;
    const shape = inTheMiddle(tool, image.id, finding, view);
    this.desk.shapes.add(shape);
    this.desk.shapes.select(shape);
    this.desk.drawn(shape);
  }

  private viewOf(columns: number, rows: number, image: StudyImage): View {
    const aspect = image.spacing && image.spacing[1] > 0 ? image.spacing[0] / image.spacing[1] : 1;
    return new View({ width: columns, height: rows }, aspect, this.viewport());
  }

  private viewport() {
    return { width: Math.max(this.canvas.clientWidth, 1), height: Math.max(this.canvas.clientHeight, 1) };
  }

  private middle(): Point {
    return { x: this.canvas.clientWidth / 2, y: this.canvas.clientHeight / 2 };
  }

  /** The canvas is as large as its box in pixels of this screen, and the view as the box; true where one was not. */
  private fit(): boolean {
    const resized = this.renderer.resize();
    const viewport = this.viewport();
    const { width, height } = this.view?.viewport ?? viewport;
    if (width === viewport.width && height === viewport.height) return resized;
    this.view?.resize(viewport);
    return true;
  }

  private paint(): void {
    const { view, image } = this;
    if (!view || !image) return;
    const started = performance.now();
    const painted = this.renderer.paint(view, this.picture);
    performance.measure("paint", { start: started });
    this.layer.paint(image, view);
    tellShown(this.element, view, this.picture);
    if (painted) this.element.dataset.painted = image.id;
    this.desk.painted(this, painted);
  }

  private setState(state: string, words: string): void {
    this.element.dataset.state = state;
    this.text("[data-loading]", words);
    this.desk.presented(this);
    this.repaint();
  }
}
