/** Paints one image into a canvas: the preview first, then the stored pixels through the window, then the heat map. */

import type { Heat } from "./heat";
import type { Pyramid } from "./pyramid";
import type { View } from "./view";
import { emptyLookUp, lookUp, type Scale, type Voi } from "./windowing";

export interface Picture {
  preview: ImageBitmap | null;
  full: { pyramid: Pyramid; scale: Scale } | null;
  voi: Voi | null;
  invert: boolean;
  heat: Heat | null;
  heatOpacity: number;
}

export class Renderer {
  private readonly context: CanvasRenderingContext2D;
  private readonly tile = document.createElement("canvas");
  private readonly tileContext: CanvasRenderingContext2D;
  private readonly table = emptyLookUp();
  private tableOf: { voi: Voi; invert: boolean; scale: Scale } | null = null;

  constructor(private readonly canvas: HTMLCanvasElement) {
    this.context = canvas.getContext("2d", { alpha: false })!;
    this.tileContext = this.tile.getContext("2d", { alpha: false, willReadFrequently: true })!;
  }

  /** Fits the canvas to its box; true when its size changed. */
  resize(): boolean {
    const width = Math.max(1, Math.round(this.canvas.clientWidth * devicePixelRatio));
    const height = Math.max(1, Math.round(this.canvas.clientHeight * devicePixelRatio));
    if (this.canvas.width === width && this.canvas.height === height) return false;
    this.canvas.width = width;
    this.canvas.height = height;
    return true;
  }

  /** True when something of the image was painted. */
  paint(view: View, picture: Picture): boolean {
    const context = this.context;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.globalAlpha = 1;
    context.globalCompositeOperation = "source-over";
    context.fillStyle = "#000";
    context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    const visible = view.visible();
    if (!visible) return true;
    context.setTransform(new DOMMatrix().scale(devicePixelRatio).multiply(view.matrix()));
    // At whole multiples every pixel is shown as it is; in between it is interpolated.
    context.imageSmoothingEnabled = view.scale * devicePixelRatio !== 1;
    context.imageSmoothingQuality = "medium";
    const painted =
      picture.full && picture.voi
        ? this.paintFull(view, picture.full, picture.voi, picture.invert, visible)
        : this.paintPreview(view, picture);
    if (painted && picture.heat) {
      context.imageSmoothingEnabled = true;
      context.globalAlpha = picture.heatOpacity;
      context.drawImage(picture.heat.picture, 0, 0, view.image.width, view.image.height);
    }
    return painted;
  }

  private paintPreview(view: View, picture: Picture): boolean {
    if (!picture.preview) return false;
    const { width, height } = view.image;
    this.context.imageSmoothingEnabled = true;
    this.context.drawImage(picture.preview, 0, 0, width, height);
    if (picture.invert) {
      this.context.globalCompositeOperation = "difference";
      this.context.fillStyle = "#fff";
      this.context.fillRect(0, 0, width, height);
      this.context.globalCompositeOperation = "source-over";
    }
    return true;
  }

  private paintFull(
    view: View,
    full: { pyramid: Pyramid; scale: Scale },
    voi: Voi,
    invert: boolean,
    visible: { x: number; y: number; width: number; height: number },
  ): boolean {
    this.prepareTable(voi, full.scale, invert);
    const level = full.pyramid.levelFor(view.scale * devicePixelRatio);
    const { factor } = level;
    const left = Math.max(0, Math.floor(visible.x / factor) - 1);
    const top = Math.max(0, Math.floor(visible.y / factor) - 1);
    const right = Math.min(level.width, Math.ceil((visible.x + visible.width) / factor) + 1);
    const bottom = Math.min(level.height, Math.ceil((visible.y + visible.height) / factor) + 1);
    const width = right - left;
    const height = bottom - top;
    if (width <= 0 || height <= 0) return true;
    if (this.tile.width !== width || this.tile.height !== height) {
      this.tile.width = width;
      this.tile.height = height;
    }
    const image = this.tileContext.createImageData(width, height);
    const words = new Uint32Array(image.data.buffer);
    const { table } = this;
    const { data } = level;
    for (let y = 0, at = 0; y < height; y++) {
      let from = (top + y) * level.width + left;
      for (const end = from + width; from < end; from++, at++) words[at] = table[data[from]];
    }
    this.tileContext.putImageData(image, 0, 0);
    this.context.drawImage(this.tile, left * factor, top * factor, width * factor, height * factor);
    return true;
  }

  private prepareTable(voi: Voi, scale: Scale, invert: boolean): void {
    const of = this.tableOf;
    if (of && of.voi === voi && of.invert === invert && of.scale === scale) return;
    lookUp(voi, scale, invert, this.table);
    this.tableOf = { voi, invert, scale };
  }
}
