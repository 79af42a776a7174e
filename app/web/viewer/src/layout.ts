/** Which pictures stand beside each other. */

import type { StudyImage } from "./source";
import { N_ } from "./texts";

export type Layout = "one" | "views" | "priors" | "all";

export const NAMES: Record<Layout, string> = {
  one: N_("One image"),
  views: N_("Both views"),
  priors: N_("With priors"),
  all: N_("Views and priors"),
};

/** The layouts there is something for, in the order of the key. */
export function layoutsFor(images: StudyImage[], priors: number): Layout[] {
  const views = other(images, 0) !== null;
  return [
    "one",
    ...(views ? (["views"] as const) : []),
    ...(priors ? (["priors"] as const) : []),
    ...(views && priors ? (["all"] as const) : []),
  ];
}

/** The image to show beside `shown`: of the other direction where there is one. */
export function other(images: StudyImage[], shown: number): number | null {
  return best(images, (image, index) => (index === shown ? 0 : image.direction !== images[shown]?.direction ? 2 : 1));
}

/** The image to compare with `like`: of the same direction where there is one. */
export function alike(images: StudyImage[], like: StudyImage | null): number {
  return best(images, (image) => (image.direction === like?.direction ? 2 : 1)) ?? 0;
}

/** What comes nearest to the layout the reader chose last: of views and priors, what there is of the two. */
export function nearest(chosen: string | null, layouts: Layout[]): Layout | undefined {
  const wanted = chosen === "all" ? ["all", "priors", "views"] : [chosen];
  return wanted.map((name) => layouts.find((layout) => layout === name)).find((layout) => layout !== undefined);
}

const STORED_AS = "layout";

/** The layout the reader chose last in this tab. */
export function remembered(): string | null {
  try {
    return sessionStorage.getItem(STORED_AS);
  } catch {
    return null;
  }
}

export function remember(layout: Layout): void {
  try {
    sessionStorage.setItem(STORED_AS, layout);
  } catch {
    // Storage is switched off: the choice lasts as long as the page.
  }
}

/** The first of the most worth. A superseded image has the pixels of a later one: it counts only where none stands. */
function best(images: StudyImage[], worth: (image: StudyImage, index: number) => number): number | null {
  const standing = images.some((image) => !image.superseded);
  let found: number | null = null;
  let most = 0;
  images.forEach((image, index) => {
    const value = image.superseded && standing ? 0 : worth(image, index);
    if (value > most) [found, most] = [index, value];
  });
  return found;
}
