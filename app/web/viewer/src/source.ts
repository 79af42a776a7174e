/** What the page knows of each image, and how its preview and its pixels are fetched. */

import { Pyramid } from "./pyramid";
import { _ } from "./texts";
import { between, type Scale, type Voi, type WindowFunction } from "./windowing";

/** Rows of what speaks for (above 0) and against the finding, in units of the logit. */
export interface HeatMap {
  finding: string;
  kind: "activation_map" | "occlusion_map";
  map: number[][];
}

/** One image, as the study page states it in its `study-images` data block. */
export interface StudyImage {
  id: string;
  name: string;
  preview: string;
  info: string;
  pixels: string;
  rows: number | null;
  columns: number | null;
  /** Millimetres between rows and between columns. */
  spacing: [number, number] | null;
  /** The spacing is the detector's, not the patient's. */
  atDetector: boolean;
  /** What a reader calls the view: frontal, lateral or null where the header does not say. */
  direction: "frontal" | "lateral" | null;
  overlay: { topLeft: string[]; topRight: string[]; bottomLeft: string[] };
  heat: HeatMap[];
  /** Where a heat map can be had that is made on request; null where none can. */
  heatFrom: string | null;
  notRead: string | null;
  superseded: boolean;
}

/** An earlier study of the same patient, as the `study-beside` data block states it. */
export interface Prior {
  study: string;
  date: string;
  description: string;
  /** Where its images are told; asking is on record as a view of the prior. */
  pictures: string;
}

/** What can be shown beside the study's own images. */
export interface Beside {
  date: string;
  priors: Prior[];
}

interface PixelsInfo {
  rows: number;
  columns: number;
  slope: number;
  intercept: number;
  photometric: string;
  /** Smallest and largest sample that is no padding. */
  minimum: number;
  maximum: number;
  /** Lowest and highest sample that is padding; shown black. */
  padding: [number, number] | null;
  windows: { center: number; width: number; function: string; explanation: string | null }[];
  /** Comes before the windows. */
  voi_lut: { first: number; entries: number[]; bits: number; explanation: string } | null;
}

export interface FullDepth {
  pyramid: Pyramid;
  scale: Scale;
  /** What the sender or, failing that, the service chose; then the header's other windows; then ours. */
  presets: Voi[];
}

/** What the service calls the window it chose where the header has none, or one that shows nothing. */
const DEFAULT = "default";
const FUNCTIONS: WindowFunction[] = ["LINEAR", "LINEAR_EXACT", "SIGMOID"];

/** A refusal of the server, in its own words. */
export class NotShown extends Error {}

export async function loadPreview(url: string): Promise<ImageBitmap> {
  const answer = await fetch(url, { credentials: "same-origin" });
  if (!answer.ok) throw new NotShown(await sentence(answer));
  return createImageBitmap(await answer.blob());
}

export async function loadPrior({ pictures }: Prior): Promise<StudyImage[]> {
  const answer = await fetch(pictures, { credentials: "same-origin", headers: { Accept: "application/json" } });
  if (!answer.ok) throw new NotShown(await sentence(answer));
  const { images } = (await answer.json()) as { images: StudyImage[] };
  if (images.length === 0) throw new NotShown(_("The prior has no image."));
  return images;
}

export async function loadFullDepth(image: StudyImage, signal: AbortSignal): Promise<FullDepth> {
  const options: RequestInit = { credentials: "same-origin", signal };
  const [infoAnswer, pixelsAnswer] = await Promise.all([fetch(image.info, options), fetch(image.pixels, options)]);
  if (!infoAnswer.ok) throw new NotShown(await sentence(infoAnswer));
  if (!pixelsAnswer.ok) throw new NotShown(await sentence(pixelsAnswer));
  const info = (await infoAnswer.json()) as PixelsInfo;
  const data = new Uint16Array(await pixelsAnswer.arrayBuffer());
  const pyramid = new Pyramid(data, info.columns, info.rows, info.padding);
  const scale: Scale = {
    slope: info.slope,
    intercept: info.intercept,
    lowIsWhite: info.photometric === "MONOCHROME1",
    padding: info.padding,
  };
  return { pyramid, scale, presets: presetsOf(info, pyramid, scale) };
}

interface MadeMap {
  state: "waiting" | "done" | "failed";
  reason: string | null;
  finding: string | null;
  cells: number[][] | null;
}

const ASK_AGAIN_MS = 400;

/** The occlusion map: asked for, then waited for. Raises NotShown with the sentence why there is none. */
export async function loadHeat(url: string, signal: AbortSignal): Promise<HeatMap> {
  const headers = { "X-CSRF-Token": document.body.dataset.csrf ?? "" };
  let answer = await fetch(url, { method: "POST", headers, credentials: "same-origin", signal });
  for (;;) {
    if (!answer.ok) throw new NotShown(await sentence(answer));
    const made = (await answer.json()) as MadeMap;
    if (made.state === "failed") throw new NotShown(made.reason ?? _("The heat map could not be made."));
    if (made.finding && made.cells) return { finding: made.finding, kind: "occlusion_map", map: made.cells };
    await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
    answer = await fetch(url, { credentials: "same-origin", signal });
  }
}

function presetsOf(info: PixelsInfo, pyramid: Pyramid, scale: Scale): Voi[] {
  const presets: Voi[] = [];
  if (info.voi_lut) {
    const { first, entries, bits, explanation } = info.voi_lut;
    const top = 2 ** bits - 1;
    presets.push({ first, values: entries.map((entry) => entry / top), name: named(explanation, _("As sent (table)")) });
  }
  // The header's are counted from its own first, whether or not one of the service comes before it.
  const ours = info.windows.filter(({ explanation }) => explanation === DEFAULT).length;
  info.windows.forEach((window, index) => {
    const stated = window.function as WindowFunction;
    presets.push({
      center: window.center,
      width: window.width,
      function: FUNCTIONS.includes(stated) ? stated : "LINEAR",
      name: named(window.explanation, index > ours ? _("As sent %(number)s", { number: index - ours + 1 }) : _("As sent")),
    });
  });
  const value = (stored: number) => stored * scale.slope + scale.intercept;
  const cut = (fractions: [number, number], name: string): Voi => {
    const found = pyramid.percentiles(fractions).map(value);
    return between(Math.min(...found), Math.max(...found), name);
  };
  presets.push(cut([0.01, 0.99], _("1 to 99 %%")));
  // Of the stored values the low ones are dark, unless one of polarity and slope turns them round.
  const [low, high]: [number, number][] = [[0.001, 0.7], [0.3, 0.999]];
  const isTurned = scale.lowIsWhite !== scale.slope < 0;
  presets.push(cut(isTurned ? high : low, _("Lungs")));
  presets.push(cut(isTurned ? low : high, _("Dense")));
  const ends = [value(info.minimum), value(info.maximum)];
  presets.push(between(Math.min(...ends), Math.max(...ends), _("Full range")));
  return presets;
}

/** What the header calls it, or that it is the service's own choice. */
function named(explanation: string | null, otherwise: string): string {
  return !explanation ? otherwise : explanation === DEFAULT ? _("Middle 99 %%") : explanation;
}

async function sentence(answer: Response): Promise<string> {
  try {
    const problem = (await answer.json()) as { detail?: string };
    if (problem.detail) return problem.detail;
  } catch {
    // Not a problem document: a proxy's page, or nothing.
  }
  return _("The image could not be fetched (status %(status)s).", { status: answer.status });
}
