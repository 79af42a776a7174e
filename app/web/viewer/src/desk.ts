/** The panes of the study page: what stands in each, which one the tools work on, and what they do together. */

import { connect, enable, showPressed, type Action } from "./controls";
import { setText } from "./corners";
import { Heating } from "./heating";
import type { Tool } from "./input";
import { alike, type Layout, layoutsFor, NAMES, nearest, other, remember, remembered } from "./layout";
import { Marks } from "./marks";
import { type Desk, Pane } from "./pane";
import { Pen } from "./pen";
import { type Shape, Shapes } from "./shapes";
import { onOtherPixels } from "./shown";
import { type Beside, loadPrior, NotShown, type Prior, type StudyImage } from "./source";
import { _ } from "./texts";
import type { Voi } from "./windowing";

const TOOLS = ["window", "pan", "zoom", "magnify", "length", "box", "ellipse"] as const satisfies Tool[];
const PRIORS = 2;

export class ReadingDesk implements Desk {
  readonly shapes = new Shapes();
  readonly pen = new Pen(this.shapes);
  private readonly heating: Heating;
  private readonly marks: Marks;
  private readonly main: Pane;
  private panes: Pane[] = [];
  private active: Pane;
  private chosenTool: Tool = "window";
  private layout: Layout = "one";
  private linked = true;
  private offered: Voi[] | null = null;
  private fullPainted = false;

  constructor(
    private readonly root: HTMLElement,
    private readonly images: StudyImage[],
    private readonly beside: Beside,
    /** Before, nothing is fetched of which it would be on record that it was seen. */
    shown: Promise<void>,
  ) {
    this.heating = new Heating(root);
    this.main = this.active = this.add(false, `${_("Current")} · ${beside.date}`);
    connect(
      root,
      (action) => this.act(action),
      () => this.pen.drop(),
      () => this.takeBack(),
    );
    this.presets.addEventListener("change", () => {
      const preset = this.active.presets[Number(this.presets.value)];
      if (preset) this.together((pane) => (pane === this.active ? pane.setVoi(preset) : pane.setPreset(preset.name)));
      this.presets.blur();
    });
    root.querySelectorAll<HTMLButtonElement>("button[data-image]").forEach((button) => {
      button.addEventListener("click", () => void this.target.show(this.images, Number(button.dataset.image)));
    });
    this.shapes.onChange(() => {
      enable(root, "delete", this.shapes.selected !== null);
      for (const pane of this.panes) pane.repaint();
    });
    onOtherPixels(() => {
      for (const pane of this.panes) {
        pane.lens.hide();
        pane.repaint();
      }
    });
    this.marks = new Marks(root, this.shapes, images);
    this.setTool("window");
    const full = this.main.show(images, 0);
    this.arrange("one", full);
    void shown.then(() => {
      const last = nearest(remembered(), this.layouts);
      if (last && last !== this.layout) this.arrange(last, full);
    });
  }

  tool(): Tool {
    return this.chosenTool;
  }

  findingFor(pane: Pane): string | null {
    return pane.prior ? null : this.marks.finding;
  }

  drawn(shape: Shape): void {
    this.shapes.remember(() => this.shapes.remove(shape));
    this.marks.drawn(shape);
  }

  chosen(pane: Pane): void {
    if (pane === this.active) return;
    this.active = pane;
    this.mark();
    this.presented(pane);
    this.heating.show(this.target);
  }

  windowDragged(from: Pane, dx: number, dy: number): void {
    this.together((pane) => pane.dragWindow(dx, dy), from);
  }

  presented(pane: Pane): void {
    // Whether the study itself can be shown; a prior that cannot is no reason to let it be signed (seen.js).
    if (pane === this.main) this.root.dataset.main = pane.element.dataset.state;
    if (pane === this.active) {
      this.root.dataset.state = pane.element.dataset.state;
      this.offer(pane.presets);
    }
    if (pane !== this.target) return;
    this.root.querySelectorAll<HTMLButtonElement>("button[data-image]").forEach((button) => {
      button.setAttribute("aria-current", String(Number(button.dataset.image) === pane.shown));
    });
    this.heating.show(pane);
  }

  painted(pane: Pane, something: boolean): void {
    const { dataset } = this.root;
    if (pane === this.active) {
      for (const name of ["window", "scale", "invert", "heat"] as const) dataset[name] = pane.element.dataset[name];
      showPressed(this.root, "invert", pane.picture.invert);
      const { voi } = pane.picture;
      this.presets.value = String(voi ? pane.presets.indexOf(voi) : -1);
    }
    if (pane.picture.full && !this.fullPainted) {
      this.fullPainted = true;
      performance.mark("full-depth-painted");
    }
    // A prior on the screen is no reason to let the study be signed.
    if (!something || pane.prior || !pane.image || dataset.painted === pane.image.id) return;
    dataset.painted = pane.image.id;
    this.root.dispatchEvent(new CustomEvent("radiograph-painted", { bubbles: true }));
  }

  /** The pane of the current study that the strip and the heat map are for. */
  private get target(): Pane {
    return this.active.prior ? this.main : this.active;
  }

  private get layouts(): Layout[] {
    return layoutsFor(this.images, this.beside.priors.length);
  }

  private get presets(): HTMLSelectElement {
    return this.root.querySelector<HTMLSelectElement>("select[data-presets]")!;
  }

  private act(action: Action): void {
    const { active } = this;
    switch (action) {
      case "tool-window":
      case "tool-pan":
      case "tool-zoom":
      case "tool-magnify":
      case "tool-length":
      case "tool-box":
      case "tool-ellipse":
        return this.setTool(action.slice(5) as Tool);
      case "invert": {
        const on = !active.picture.invert;
        return this.together((pane) => pane.setInvert(on));
      }
      case "heat":
        return this.heating.toggle();
      case "opacity":
        return this.heating.fade();
      case "fit":
        return active.change((view) => view.fit());
      case "actual":
        return active.actual();
      case "turn":
        return active.change((view) => view.turn());
      case "mirror":
        return active.change((view) => view.mirror());
      case "reset":
        this.together((pane) => {
          pane.setInvert(false);
          if (pane.presets[0]) pane.setVoi(pane.presets[0]);
        });
        return active.change((view) => view.reset());
      case "delete":
        if (this.shapes.unfinished) return this.pen.drop();
        return this.shapes.selected ? this.shapes.delete(this.shapes.selected) : undefined;
      case "layout":
        return this.nextLayout();
      case "link":
        this.linked = !this.linked;
        return showPressed(this.root, "link", this.linked);
      case "previous":
      case "next":
        return void active.show(active.images, active.shown + (action === "next" ? 1 : -1));
    }
  }

  /** What concerns windows is done in all panes while they are linked, else in one. */
  private together(how: (pane: Pane) => void, from: Pane = this.active): void {
    if (this.linked) this.panes.forEach(how);
    else how(from);
  }

  /** What is being drawn goes; else what was last drawn, moved or deleted is as before. False where nothing was meant. */
  private takeBack(): boolean {
    if (!this.shapes.unfinished) return this.shapes.undo() || this.shapes.selected !== null;
    this.pen.drop();
    return true;
  }

  private setTool(tool: Tool): void {
    this.pen.drop();
    this.chosenTool = tool;
    this.root.dataset.tool = tool;
    for (const other of TOOLS) showPressed(this.root, `tool-${other}`, other === tool);
    for (const pane of this.panes) {
      pane.canvas.dataset.tool = tool;
      pane.lens.hide();
    }
  }

  private nextLayout(): void {
    const { layouts } = this;
    const next = layouts[(layouts.indexOf(this.layout) + 1) % layouts.length];
    remember(next);
    this.arrange(next, Promise.resolve());
  }

  /** The panes of that layout; what is beside the main picture is fetched after `before`. */
  private arrange(layout: Layout, before: Promise<unknown>): void {
    this.layout = layout;
    this.pen.drop();
    for (const pane of this.panes.splice(1)) {
      pane.close();
      pane.element.remove();
    }
    if (!this.panes.includes(this.active)) this.active = this.main;
    const second = other(this.images, this.main.shown);
    if ((layout === "views" || layout === "all") && second !== null) {
      void this.add(false, `${_("Current")} · ${this.beside.date}`).show(this.images, second, before);
    }
    if (layout === "priors" || layout === "all") {
      for (const prior of this.beside.priors.slice(0, PRIORS)) void this.addPrior(prior, before);
    }
    const button = this.root.querySelector<HTMLElement>('button[data-do="layout"]');
    if (button) setText(button, "[data-layout]", _(NAMES[layout]));
    enable(this.root, "layout", this.layouts.length > 1);
    enable(this.root, "link", this.panes.length > 1);
    this.root.dataset.panes = String(this.panes.length);
    this.mark();
    this.presented(this.active);
  }

  private async addPrior(prior: Prior, before: Promise<unknown>): Promise<void> {
    const pane = this.add(true, `◀ ${_("PRIOR")} · ${[prior.date, prior.description].filter(Boolean).join(" · ")}`);
    try {
      const images = await loadPrior(prior);
      if (this.panes.includes(pane)) await pane.show(images, alike(images, this.main.image), before);
    } catch (error) {
      pane.fail(error instanceof NotShown ? error.message : _("The prior did not arrive. Change the layout to try again."));
    }
  }

  private add(prior: boolean, head: string): Pane {
    const template = this.root.querySelector<HTMLTemplateElement>("template[data-pane]")!;
    const element = (template.content.cloneNode(true) as DocumentFragment).firstElementChild as HTMLElement;
    element.classList.toggle("prior", prior);
    element.setAttribute("aria-label", head.replace("◀ ", ""));
    setText(element, "[data-head]", head);
    this.root.querySelector(".stage")!.append(element);
    const pane = new Pane(element, prior, this);
    pane.canvas.dataset.tool = this.chosenTool;
    this.panes.push(pane);
    return pane;
  }

  private mark(): void {
    for (const pane of this.panes) pane.element.classList.toggle("active", pane === this.active);
  }

  private offer(presets: Voi[]): void {
    if (this.offered === presets) return;
    this.offered = presets;
    this.presets.disabled = presets.length === 0;
    const own = new Option(_("Own window"), "-1");
    own.hidden = true;
    this.presets.replaceChildren(...presets.map((voi, index) => new Option(voi.name, String(index))), own);
  }
}
