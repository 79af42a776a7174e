/** The stored pixels at full size and, made when first needed, halved again and again by averaging what is no padding. */

export interface Level {
  data: Uint16Array;
  width: number;
  height: number;
  /** How many pixels of the full image one pixel of this level spans. */
  factor: number;
}

type Padding = [number, number] | null;

export class Pyramid {
  private readonly levels: Level[];

  constructor(
    data: Uint16Array,
    width: number,
    height: number,
    /** Lowest and highest stored value that is padding. */
    private readonly padding: Padding,
  ) {
    if (data.length !== width * height) {
      throw new Error(`${data.length} pixels came for ${width} x ${height}.`);
    }
    this.levels = [{ data, width, height, factor: 1 }];
  }

  get full(): Level {
    return this.levels[0];
  }

  /** The coarsest level that still has a pixel for every screen pixel at `scale` screen pixels per image pixel. */
  levelFor(scale: number): Level {
    let index = 0;
    while (2 ** (index + 1) * scale <= 1 && this.halvable(index)) index++;
    return this.levels[index];
  }

  /** The stored values below which the given fractions (0..1, ascending) of the picture without its padding lie. */
  percentiles(fractions: number[]): number[] {
    const { padding } = this;
    const { data } = this.levelFor(512 / Math.max(this.full.width, this.full.height));
    const counts = new Uint32Array(65536);
    for (let i = 0; i < data.length; i++) counts[data[i]]++;
    let pixels = data.length;
    for (let value = padding?.[0] ?? 1; value <= (padding?.[1] ?? 0); value++) {
      pixels -= counts[value];
      counts[value] = 0;
    }
    const found: number[] = [];
    let seen = 0;
    let value = 0;
    for (const fraction of fractions) {
      while (value < 65535 && seen + counts[value] < fraction * pixels) seen += counts[value++];
      found.push(value);
    }
    return found;
  }

  private halvable(index: number): boolean {
    if (this.levels.length > index + 1) return true;
    const { width, height } = this.levels[index];
    if (width < 2 || height < 2) return false;
    this.levels.push(halved(this.levels[index], this.padding));
    return true;
  }
}

/** Each pixel the rounded mean of 2 x 2, padding left out; an odd last row or column is left out. */
function halved(from: Level, padding: Padding): Level {
  const width = from.width >> 1;
  const height = from.height >> 1;
  const data = new Uint16Array(width * height);
  for (let y = 0; y < height; y++) {
    let upper = 2 * y * from.width;
    let lower = upper + from.width;
    for (let x = 0, at = y * width; x < width; x++, at++, upper += 2, lower += 2) {
      const a = from.data[upper];
      const b = from.data[upper + 1];
      const c = from.data[lower];
      const d = from.data[lower + 1];
      data[at] = padding ? meanOutside(padding[0], padding[1], a, b, c, d) : (a + b + c + d + 2) >> 2;
    }
  }
  return { data, width, height, factor: from.factor * 2 };
}

/** The rounded mean of those outside `low` to `high`, or one of them where it would lie inside; `a` where all do. */
function meanOutside(low: number, high: number, a: number, b: number, c: number, d: number): number {
  let sum = 0;
  let count = 0;
  let one = a;
  if (a < low || a > high) (sum += a), count++;
  if (b < low || b > high) (sum += one = b), count++;
  if (c < low || c > high) (sum += one = c), count++;
  if (d < low || d > high) (sum += one = d), count++;
  if (count === 0) return a;
  const mean = ((sum + (count >> 1)) / count) | 0;
  return mean < low || mean > high ? mean : one;
}
