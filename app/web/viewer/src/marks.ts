/** The marks of a review: what the reader draws goes into the forms that sign, what was signed is shown again. */

import type { Shape, Shapes } from "./shapes";
import type { StudyImage } from "./source";
import { _ } from "./texts";

/** As the server stores it: left, upper edge and size in pixels of the full-size image. */
interface Mark {
  image: string;
  finding: string;
  shape: "box" | "ellipse";
  x: number;
  y: number;
  width: number;
  height: number;
}

const IS_ABSENT = _("It is marked on the image. Delete the mark, or say that it is present or uncertain.");

export class Marks {
  private readonly form = document.querySelector<HTMLFormElement>("#correct");
  private readonly fields = [...document.querySelectorAll<HTMLInputElement>("input[data-marks]")];
  private readonly list = document.querySelector<HTMLElement>("[data-mark-list]");
  private readonly shown = document.querySelectorAll<HTMLButtonElement>("button[data-show-marks]");
  private listed = "";

  /** The event `marks-given` at `#viewer` says that the page has filled the forms' fields anew. */
  constructor(
    root: HTMLElement,
    private readonly shapes: Shapes,
    private readonly images: StudyImage[],
  ) {
    this.read();
    root.addEventListener("marks-given", () => this.read());
    shapes.onChange(() => this.write());
    this.form?.addEventListener("input", () => this.judge());
    this.shown.forEach((button) => button.addEventListener("click", () => this.show(button)));
    // Who cannot sign sees what stands at once; who can has it in the form.
    const standing = [...this.shown].find((button) => "stands" in button.dataset);
    if (!this.form && standing) this.show(standing);
  }

  /** What a new mark belongs to; null where the reader cannot sign. */
  get finding(): string | null {
    return document.querySelector<HTMLSelectElement | HTMLInputElement>("[data-mark-finding]")?.value ?? null;
  }

  /** Marking a finding says that it is there, and begins a correction. */
  drawn(shape: Shape): void {
    if (shape.kind === "length" || !this.form) return;
    const details = document.querySelector<HTMLDetailsElement>("#correction");
    if (details && !details.open) document.querySelector<HTMLElement>("[data-correct]")?.click();
    const answers = this.form.elements.namedItem(`finding:${shape.finding}`);
    if (answers instanceof RadioNodeList && ["", "absent"].includes(answers.value)) answers.value = "present";
    this.form.dispatchEvent(new Event("input", { bubbles: true }));
  }

  private read(): void {
    if (!this.fields[0]) return;
    const marks = parsed(this.fields[0].value);
    for (const field of this.fields) field.value = JSON.stringify(marks);
    this.shapes.replace((shape) => shape.kind !== "length" && !shape.fixed, marks.map((mark) => shapeOf(mark, false)));
    this.shapes.settle();
    this.tell();
  }

  private write(): void {
    if (!this.fields[0]) return;
    const text = JSON.stringify(this.shapes.marks().map(markOf));
    if (text === this.fields[0].value) return;
    for (const field of this.fields) field.value = text;
    this.tell();
    this.form?.dispatchEvent(new Event("input", { bubbles: true }));
  }

  /** The list below the answers; made anew only when a mark comes or goes, so that nobody loses their place in it. */
  private tell(): void {
    const marks = this.shapes.marks();
    const words = marks.map((mark) => {
      const image = this.images.find(({ id }) => id === mark.image);
      const values = { finding: _(mark.finding), image: image?.name ?? "" };
      return mark.kind === "box"
        ? _("Box of %(finding)s on image %(image)s", values)
        : _("Ellipse of %(finding)s on image %(image)s", values);
    });
    this.judge();
    if (!this.list || words.join("\n") === this.listed) return;
    this.listed = words.join("\n");
    this.list.hidden = marks.length === 0;
    this.list.querySelector("ul")!.replaceChildren(
      ...marks.map((mark, index) => {
        const item = document.createElement("li");
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = _("Delete");
        button.setAttribute("aria-label", `${_("Delete")}: ${words[index]}`);
        button.addEventListener("click", () => {
          this.shapes.delete(mark);
          (this.list?.querySelector("button") ?? this.form?.querySelector("textarea"))?.focus();
        });
        item.append(words[index], button);
        return item;
      }),
    );
  }

  /** A finding that is marked cannot be called absent. */
  private judge(): void {
    const marked = new Set(this.shapes.marks().map(({ finding }) => finding));
    this.form?.querySelectorAll<HTMLInputElement>('input[value="absent"]').forEach((input) => {
      const said = input.checked && marked.has(input.name.slice("finding:".length));
      input.setCustomValidity(said ? IS_ABSENT : "");
    });
  }

  /** The marks of one earlier review, or of none. */
  private show(button: HTMLButtonElement): void {
    const on = button.getAttribute("aria-pressed") !== "true";
    this.shown.forEach((other) => other.setAttribute("aria-pressed", String(on && other === button)));
    const marks = on ? parsed(button.dataset.showMarks ?? "") : [];
    this.shapes.replace((shape) => shape.fixed, marks.map((mark) => shapeOf(mark, true)));
  }
}

function parsed(text: string): Mark[] {
  try {
    const found: unknown = JSON.parse(text || "[]");
    return Array.isArray(found) ? (found as Mark[]) : [];
  } catch {
    return [];
  }
}

function shapeOf({ image, finding, shape, x, y, width, height }: Mark, fixed: boolean): Shape {
  return { kind: shape, image, finding, a: { x, y }, b: { x: x + width, y: y + height }, fixed };
}

/** To a tenth of a pixel; whatever is rounded stays inside the image, whose edges are whole. */
function markOf({ kind, image, finding, a, b }: Shape): Mark {
  const [left, right] = [Math.min(a.x, b.x), Math.max(a.x, b.x)].map(tenth);
  const [top, bottom] = [Math.min(a.y, b.y), Math.max(a.y, b.y)].map(tenth);
  const size = (from: number, to: number) => Math.max(tenth(to - from), 1);
  return { image, finding, shape: kind as Mark["shape"], x: left, y: top, width: size(left, right), height: size(top, bottom) };
}

function tenth(value: number): number {
  return Math.round(value * 10) / 10;
}
