/** Window and level: from stored values to grey, as DICOM PS3.3 C.11.2.1.2 and C.11.2.1.3 define it. */

import { _ } from "./texts";

export type WindowFunction = "LINEAR" | "LINEAR_EXACT" | "SIGMOID";

/** Centre and width are in modality values (stored value x slope + intercept). */
export interface Window {
  center: number;
  width: number;
  function: WindowFunction;
  name: string;
}

/** A VOI LUT: modality value `first` and below maps to `values[0]`; greys are 0..1. */
export interface VoiTable {
  first: number;
  values: number[];
  name: string;
}

export type Voi = Window | VoiTable;

export interface Scale {
  slope: number;
  intercept: number;
  /** True for MONOCHROME1: the lowest value is shown white. */
  lowIsWhite: boolean;
  /** Lowest and highest stored value that is padding: outside the picture, always black. */
  padding: [number, number] | null;
}

const STORED_VALUES = 65536;

export function isTable(voi: Voi): voi is VoiTable {
  return "values" in voi;
}

/** The grey 0..1 of a modality value. */
export function grey(voi: Voi, value: number): number {
  if (isTable(voi)) {
    const index = Math.round(value - voi.first);
    return voi.values[Math.min(Math.max(index, 0), voi.values.length - 1)];
  }
  const { center, width } = voi;
  switch (voi.function) {
    case "SIGMOID":
      return 1 / (1 + Math.exp((-4 * (value - center)) / width));
    case "LINEAR_EXACT":
      return clamp((value - center) / width + 0.5);
    case "LINEAR":
      if (width <= 1) return value <= center - 0.5 ? 0 : 1;
      return clamp((value - (center - 0.5)) / (width - 1) + 0.5);
  }
}

/** Whether high values are shown dark. */
export function isFlipped(scale: Scale, invert: boolean): boolean {
  return scale.lowIsWhite !== invert;
}

/**
 * One opaque RGBA word (little-endian, as ImageData holds it) per stored value, so that a window is one look-up a pixel.
 */
export function lookUp(voi: Voi, scale: Scale, invert: boolean, into: Uint32Array): void {
  const flip = isFlipped(scale, invert);
  for (let stored = 0; stored < STORED_VALUES; stored++) {
    const shown = grey(voi, stored * scale.slope + scale.intercept);
    const level = Math.round(255 * (flip ? 1 - shown : shown));
    into[stored] = 0xff000000 | (level << 16) | (level << 8) | level;
  }
  if (scale.padding) into.fill(0xff000000, scale.padding[0], scale.padding[1] + 1);
}

export function emptyLookUp(): Uint32Array {
  return new Uint32Array(STORED_VALUES);
}

/** The window a drag leaves: right widens, down darkens; as fast as the window is wide, never narrower than 1. */
export function dragged(from: Window, dx: number, dy: number, flip: boolean): Window {
  const step = Math.max(from.width, 8) / 400;
  return {
    ...from,
    name: _("Own"),
    width: Math.max(1, from.width + dx * step),
    center: from.center + (flip ? -dy : dy) * step,
  };
}

/** A linear window between two modality values. */
export function between(low: number, high: number, name: string): Window {
  const width = Math.max(high - low, 1);
  return { center: low + width / 2, width, function: "LINEAR_EXACT", name };
}

function clamp(value: number): number {
  return value < 0 ? 0 : value > 1 ? 1 : value;
}
