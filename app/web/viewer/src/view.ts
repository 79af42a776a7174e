/** Where the image lies on the screen: zoom, pan, quarter turns, mirror. Image units are full-size pixels. */

export interface Size {
  width: number;
  height: number;
}

export interface Point {
  x: number;
  y: number;
}

const LARGEST_ZOOM = 32;

export class View {
  /** CSS pixels per image pixel. */
  scale = 1;
  /** The image point in the middle of the viewport. */
  centre: Point = { x: 0, y: 0 };
  quarterTurns = 0;
  mirrored = false;
  /** Follows the viewport's size until the reader zooms or pans. */
  fitted = true;

  constructor(
    public image: Size,
    /** Height of a pixel over its width, from the spacing. */
    public aspect: number,
    public viewport: Size,
  ) {
    this.fit();
  }

  /** The whole image, as large as the viewport allows. */
  fit(): void {
    this.scale = this.fittedScale();
    this.centre = { x: this.image.width / 2, y: this.image.height / 2 };
    this.fitted = true;
  }

  resize(viewport: Size): void {
    this.viewport = viewport;
    if (this.fitted) this.fit();
  }

  reset(): void {
    this.quarterTurns = 0;
    this.mirrored = false;
    this.fit();
  }

  /** Zooms so that what lies under `at` (CSS pixels in the viewport) stays there. */
  zoom(factor: number, at: Point): void {
    this.zoomTo(this.scale * factor, at);
  }

  zoomTo(scale: number, at: Point): void {
    const before = this.toImage(at);
    const smallest = Math.min(this.fittedScale(), 1) / 4;
    this.scale = Math.min(Math.max(scale, smallest), LARGEST_ZOOM);
    const after = this.toImage(at);
    this.centre = { x: this.centre.x + before.x - after.x, y: this.centre.y + before.y - after.y };
    this.fitted = false;
    this.hold();
  }

  pan(dx: number, dy: number): void {
    const from = this.toImage({ x: 0, y: 0 });
    const to = this.toImage({ x: dx, y: dy });
    this.centre = { x: this.centre.x - (to.x - from.x), y: this.centre.y - (to.y - from.y) };
    this.fitted = false;
    this.hold();
  }

  turn(): void {
    this.quarterTurns = (this.quarterTurns + 1) % 4;
    if (this.fitted) this.fit();
  }

  mirror(): void {
    this.mirrored = !this.mirrored;
  }

  /** Image to viewport, in CSS pixels. */
  matrix(): DOMMatrix {
    return new DOMMatrix()
      .translate(this.viewport.width / 2, this.viewport.height / 2)
      .scale(this.mirrored ? -1 : 1, 1)
      .rotate(90 * this.quarterTurns)
      .scale(this.scale, this.scale * this.aspect)
      .translate(-this.centre.x, -this.centre.y);
  }

  toImage(point: Point): Point {
    const found = this.matrix().inverse().transformPoint(point);
    return { x: found.x, y: found.y };
  }

  /** The nearest point of the image; its edges belong to it. */
  inside(point: Point): Point {
    const within = (value: number, most: number) => Math.min(Math.max(value, 0), most);
    return { x: within(point.x, this.image.width), y: within(point.y, this.image.height) };
  }

  holds(point: Point): boolean {
    const { x, y } = this.inside(point);
    return x === point.x && y === point.y;
  }

  /** The part of the image inside the viewport, as whole pixels; null when none is. */
  visible(): { x: number; y: number; width: number; height: number } | null {
    const { width, height } = this.viewport;
    const corners = [
      { x: 0, y: 0 },
      { x: width, y: 0 },
      { x: 0, y: height },
      { x: width, y: height },
    ].map((corner) => this.toImage(corner));
    const left = Math.max(0, Math.floor(Math.min(...corners.map((c) => c.x))));
    const top = Math.max(0, Math.floor(Math.min(...corners.map((c) => c.y))));
    const right = Math.min(this.image.width, Math.ceil(Math.max(...corners.map((c) => c.x))));
    const bottom = Math.min(this.image.height, Math.ceil(Math.max(...corners.map((c) => c.y))));
    return right > left && bottom > top
      ? { x: left, y: top, width: right - left, height: bottom - top }
      : null;
  }

  private fittedScale(): number {
    const across = this.image.width;
    const down = this.image.height * this.aspect;
    const [width, height] = this.quarterTurns % 2 ? [down, across] : [across, down];
    return Math.min(this.viewport.width / width, this.viewport.height / height);
  }

  /** The middle of the viewport never leaves the image, so the image cannot be lost. */
  private hold(): void {
    this.centre.x = Math.min(Math.max(this.centre.x, 0), this.image.width);
    this.centre.y = Math.min(Math.max(this.centre.y, 0), this.image.height);
  }
}
