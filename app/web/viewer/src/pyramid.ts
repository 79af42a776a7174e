/** The stored pixels at full size and, made when first needed, halved again and again by averaging. */

export interface Level {
  data: Uint16Array;
  width: number;
  height: number;
  /** How many pixels of the full image one pixel of this level spans. */
  factor: number;
}

export class Pyramid {
  private readonly levels: Level[];

  constructor(data: Uint16Array, width: number, height: number) {
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
  percentiles(fractions: number[], padding: [number, number] | null): number[] {
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
    this.levels.push(halved(this.levels[index]));
    return true;
  }
}

/** Each pixel the rounded mean of 2 x 2; an odd last row or column is left out. */
function halved(from: Level): Level {
  const width = from.width >> 1;
  const height = from.height >> 1;
  const data = new Uint16Array(width * height);
  for (let y = 0; y < height; y++) {
    let upper = 2 * y * from.width;
    let lower = upper + from.width;
    for (let x = 0, at = y * width; x < width; x++, at++, upper += 2, lower += 2) {
      const sum = from.data[upper] + from.data[upper + 1] + from.data[lower] + from.data[lower + 1];
      data[at] = (sum + 2) >> 2;
    }
  }
  return { data, width, height, factor: from.factor * 2 };
}
