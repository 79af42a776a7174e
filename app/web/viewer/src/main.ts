/**
 * The radiograph of the study page.
 *
 * Reads the data block `#study-images`, paints into `#viewer canvas`, and tells the page what it does through data
 * attributes of `#viewer` (state, window, scale, invert, heat) and the event `radiograph-painted`.
 */

import { connect, showPressed, type Action } from "./controls";
import { drawHeat } from "./heat";
import { listen, type Tool } from "./input";
import { Renderer, type Picture } from "./renderer";
import { type FullDepth, type StudyImage, loadFullDepth, loadHeat, loadPreview, NotShown } from "./source";
import { View } from "./view";
import { between, dragged, isTable, type Voi, type Window } from "./windowing";

class Viewer {
  private readonly canvas: HTMLCanvasElement;
  private readonly renderer: Renderer;
  /** Beside the picture, not on it: it hides nothing of the radiograph. */
  private readonly legend = document.querySelector<HTMLElement>("[data-heat-legend]")!;
  private readonly picture: Picture = {
    preview: null,
    full: null,
    voi: null,
    invert: false,
    heat: null,
    heatOpacity: 0.45,
  };
  private view: View | null = null;
  private shown = -1;
  private tool: Tool = "window";
  private heatOn = false;
  private fetching = new AbortController();
  private due = false;
  private fullPainted = false;
  private fullDepth: FullDepth | null = null;

  constructor(
    private readonly root: HTMLElement,
    private readonly images: StudyImage[],
  ) {
    this.canvas = root.querySelector("canvas")!;
    this.renderer = new Renderer(this.canvas);
    listen(this.canvas, {
      tool: () => this.tool,
      window: (dx, dy) => this.dragWindow(dx, dy),
      pan: (dx, dy) => this.change((view) => view.pan(dx, dy)),
      zoom: (factor, at) => this.change((view) => view.zoom(factor, at)),
      fit: () => this.act("fit"),
    });
    connect(root, (action) => this.act(action));
    root.querySelector<HTMLSelectElement>("select[data-presets]")?.addEventListener("change", (event) => {
      const select = event.currentTarget as HTMLSelectElement;
      const voi = this.fullDepth?.presets[Number(select.value)];
      if (voi) this.setVoi(voi);
      select.blur();
    });
    document.querySelector<HTMLInputElement>("input[data-heat-opacity]")?.addEventListener("input", (event) => {
      this.picture.heatOpacity = Number((event.currentTarget as HTMLInputElement).value) / 100;
      this.repaint();
    });
    root.querySelectorAll<HTMLButtonElement>("button[data-image]").forEach((button) => {
      button.addEventListener("click", () => this.show(Number(button.dataset.image)));
    });
    new ResizeObserver(() => this.resized()).observe(this.canvas);
    this.setTool("window");
    this.show(0);
  }

  private show(index: number): void {
    if (index === this.shown || !this.images[index]) return;
    this.shown = index;
    this.fetching.abort();
    this.fetching = new AbortController();
    const image = this.images[index];
    Object.assign(this.picture, { preview: null, full: null, voi: null, heat: null, invert: false });
    this.fullDepth = null;
    this.view = image.rows && image.columns ? this.viewOf(image.columns, image.rows, image) : null;
    this.setState("loading", "Fetching the image …");
    this.presentImage(image, index);
    this.showHeat();
    this.fetchHeat();
    this.repaint();
    void this.fetch(image, this.fetching.signal);
  }

  private async fetch(image: StudyImage, signal: AbortSignal): Promise<void> {
    const preview = loadPreview(image.preview).then(
      (bitmap) => {
        if (signal.aborted || this.picture.full) return;
        this.picture.preview = bitmap;
        this.view ??= this.viewOf(bitmap.width, bitmap.height, image);
        this.setState("preview", "Preview; fetching full depth …");
        this.repaint();
      },
      () => undefined, // the full image says what is wrong
    );
    try {
      const full = await loadFullDepth(image, signal);
      if (signal.aborted) return;
      const { width, height } = full.pyramid.full;
      if (!this.view || this.view.image.width !== width || this.view.image.height !== height) {
        this.view = this.viewOf(width, height, image);
      }
      this.fullDepth = full;
      this.picture.full = full;
      this.offerPresets(full.presets);
      this.setVoi(full.presets[0]);
      this.setState("full", "");
    } catch (error) {
      if (signal.aborted) return;
      await preview;
      const reason = error instanceof NotShown ? error.message : "The image did not arrive. Reload to try again.";
      this.setState(this.picture.preview ? "preview-only" : "failed", reason);
    }
  }

  private viewOf(columns: number, rows: number, image: StudyImage): View {
    const aspect = image.spacing && image.spacing[1] > 0 ? image.spacing[0] / image.spacing[1] : 1;
    return new View({ width: columns, height: rows }, aspect, this.viewport());
  }

  private viewport() {
    return { width: Math.max(this.canvas.clientWidth, 1), height: Math.max(this.canvas.clientHeight, 1) };
  }

  private act(action: Action): void {
    const middle = { x: this.canvas.clientWidth / 2, y: this.canvas.clientHeight / 2 };
    switch (action) {
      case "tool-window":
      case "tool-pan":
      case "tool-zoom":
        return this.setTool(action.slice(5) as Tool);
      case "invert":
        this.picture.invert = !this.picture.invert;
        return this.repaint();
      case "heat":
        this.heatOn = !this.heatOn;
        this.showHeat();
        return this.fetchHeat();
      case "fit":
        return this.change((view) => view.fit());
      case "actual":
        return this.change((view) => view.zoomTo(1 / devicePixelRatio, middle));
      case "turn":
        return this.change((view) => view.turn());
      case "mirror":
        return this.change((view) => view.mirror());
      case "reset":
        this.picture.invert = false;
        if (this.fullDepth) this.setVoi(this.fullDepth.presets[0]);
        return this.change((view) => view.reset());
      case "previous":
        return this.show(this.shown - 1);
      case "next":
        return this.show(this.shown + 1);
    }
  }

  private change(how: (view: View) => void): void {
    if (!this.view) return;
    how(this.view);
    this.repaint();
  }

  private dragWindow(dx: number, dy: number): void {
    const { voi } = this.picture;
    if (!voi) return;
    const from: Window = isTable(voi) ? between(voi.first, voi.first + voi.values.length - 1, "Own") : voi;
    this.setVoi(dragged(from, dx, dy));
  }

  private setVoi(voi: Voi): void {
    this.picture.voi = voi;
    const select = this.root.querySelector<HTMLSelectElement>("select[data-presets]");
    if (select) select.value = String(this.fullDepth?.presets.indexOf(voi) ?? -1);
    this.repaint();
  }

  private setTool(tool: Tool): void {
    this.tool = tool;
    this.canvas.dataset.tool = tool;
    for (const other of ["window", "pan", "zoom"] as const) showPressed(this.root, `tool-${other}`, other === tool);
  }

  private showHeat(): void {
    const heats = this.images[this.shown].heat;
    const on = this.heatOn && heats.length > 0;
    const waiting = this.heatOn && !on && this.images[this.shown].heatFrom !== null;
    this.picture.heat = on ? drawHeat(heats[0].map) : null;
    showPressed(this.root, "heat", on || waiting);
    const button = this.root.querySelector<HTMLButtonElement>('button[data-do="heat"]');
    if (button) button.disabled = heats.length === 0 && this.images[this.shown].heatFrom === null;
    this.text("[data-heat-state]", waiting ? "Making the heat map …" : "");
    this.legend.hidden = !on;
    setText(this.legend, "[data-heat-finding]", heats[0]?.finding ?? "");
    const words = heats[0] && this.root.querySelector<HTMLElement>(`[data-heat-words="${heats[0].kind}"]`)?.dataset.words;
    if (words) setText(this.legend, "p", words);
    setText(this.legend, "[data-heat-strongest]", this.picture.heat ? this.picture.heat.strongest.toFixed(2) : "");
    this.repaint();
  }

  /** A map that is made on request is asked for once the reader wants to see it. */
  private fetchHeat(): void {
    const image = this.images[this.shown];
    if (!this.heatOn || image.heat.length > 0 || image.heatFrom === null) return;
    const { signal } = this.fetching;
    loadHeat(image.heatFrom, signal).then(
      (heat) => {
        image.heat = [heat];
        if (!signal.aborted) this.showHeat();
      },
      (error: unknown) => {
        if (signal.aborted) return;
        this.heatOn = false;
        this.showHeat();
        const reason = error instanceof NotShown ? error.message : "The heat map did not arrive. Try again.";
        this.text("[data-heat-state]", reason);
      },
    );
  }

  private presentImage(image: StudyImage, index: number): void {
    this.root.querySelectorAll<HTMLButtonElement>("button[data-image]").forEach((button) => {
      button.setAttribute("aria-current", String(Number(button.dataset.image) === index));
    });
    for (const corner of ["topLeft", "topRight", "bottomLeft"] as const) {
      this.text(`[data-overlay="${corner}"]`, image.overlay[corner].join("\n"));
    }
    this.text("[data-not-read]", image.notRead ?? "");
    this.canvas.setAttribute("aria-label", `Radiograph ${image.name}`);
    this.offerPresets([]);
  }

  private offerPresets(presets: Voi[]): void {
    const select = this.root.querySelector<HTMLSelectElement>("select[data-presets]");
    if (!select) return;
    select.disabled = presets.length === 0;
    const own = new Option("Own window", "-1");
    own.hidden = true;
    select.replaceChildren(...presets.map((voi, index) => new Option(voi.name, String(index))), own);
  }

  private resized(): void {
    if (this.renderer.resize()) {
      this.view?.resize(this.viewport());
      this.paint();
    }
  }

  private repaint(): void {
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => {
      this.due = false;
      this.paint();
    });
  }

  private paint(): void {
    if (!this.view) return;
    const started = performance.now();
    const painted = this.renderer.paint(this.view, this.picture);
    performance.measure("paint", { start: started });
    const { voi, invert } = this.picture;
    const { dataset } = this.root;
    dataset.invert = String(invert);
    dataset.heat = String(this.picture.heat !== null);
    dataset.scale = String(Math.round(this.view.scale * devicePixelRatio * 1000) / 1000);
    dataset.window = voi && !isTable(voi) ? `${round(voi.center)},${round(voi.width)}` : "";
    showPressed(this.root, "invert", invert);
    this.text("[data-zoom]", `${Math.round(this.view.scale * devicePixelRatio * 100)} %`);
    this.text("[data-window-text]", voi && !isTable(voi) ? `C ${round(voi.center)}  W ${round(voi.width)}` : "");
    if (this.picture.full && !this.fullPainted) {
      this.fullPainted = true;
      performance.mark("full-depth-painted");
    }
    if (painted && dataset.painted !== this.images[this.shown].id) {
      dataset.painted = this.images[this.shown].id;
      this.root.dispatchEvent(new CustomEvent("radiograph-painted", { bubbles: true }));
    }
  }

  private setState(state: string, words: string): void {
    this.root.dataset.state = state;
    this.text("[data-loading]", words);
    this.repaint();
  }

  private text(selector: string, text: string): void {
    setText(this.root, selector, text);
  }
}

function setText(within: HTMLElement, selector: string, text: string): void {
  const element = within.querySelector<HTMLElement>(selector);
  if (element && element.textContent !== text) element.textContent = text;
}

function round(value: number): number {
  return Math.abs(value) >= 100 ? Math.round(value) : Math.round(value * 100) / 100;
}

performance.mark("viewer-started");
const root = document.getElementById("viewer");
const block = document.getElementById("study-images");
if (root && block) new Viewer(root, JSON.parse(block.textContent ?? "[]") as StudyImage[]);
