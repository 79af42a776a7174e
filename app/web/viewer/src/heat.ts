/**
 * The class activation map as a transparent picture: orange speaks for the finding, blue against it.
 *
 * Cells are contributions to the logit (their sum and the bias are the logit). The two hues are told apart by every
 * common kind of colour vision, and strength is opacity, so the radiograph stays visible below.
 */

const SIDE = 256;
const FOR = [255, 150, 30];
const AGAINST = [70, 150, 255];

export interface Heat {
  picture: HTMLCanvasElement;
  /** The map it was drawn from. */
  of: number[][];
  /** The contribution that is shown fully coloured. */
  strongest: number;
}

/** `map` is rows of contributions, stretched over the whole image; bilinear between the middles of cells. */
export function drawHeat(map: number[][]): Heat {
  const rows = map.length;
  const columns = map[0].length;
  // A map in which nothing speaks loudly must not be stretched into one that does: half a logit, spread evenly, is
  // the least that full colour stands for.
  let strongest = 0.5 / (rows * columns);
  for (const row of map) for (const value of row) strongest = Math.max(strongest, Math.abs(value));
  const picture = document.createElement("canvas");
  picture.width = picture.height = SIDE;
  const context = picture.getContext("2d")!;
  const image = context.createImageData(SIDE, SIDE);
  for (let y = 0; y < SIDE; y++) {
    const [top, bottom, down] = neighbours(y, rows);
    for (let x = 0; x < SIDE; x++) {
      const [left, right, across] = neighbours(x, columns);
      const upper = map[top][left] * (1 - across) + map[top][right] * across;
      const lower = map[bottom][left] * (1 - across) + map[bottom][right] * across;
      const strength = (upper * (1 - down) + lower * down) / strongest;
      const colour = strength >= 0 ? FOR : AGAINST;
      const at = 4 * (y * SIDE + x);
      image.data[at] = colour[0];
      image.data[at + 1] = colour[1];
      image.data[at + 2] = colour[2];
      image.data[at + 3] = Math.round(255 * Math.min(Math.abs(strength), 1));
    }
  }
  context.putImageData(image, 0, 0);
  return { picture, of: map, strongest };
}

function neighbours(at: number, cells: number): [number, number, number] {
  const position = Math.min(Math.max(((at + 0.5) * cells) / SIDE - 0.5, 0), cells - 1);
  const before = Math.floor(position);
  return [before, Math.min(before + 1, cells - 1), position - before];
}
