/** What the viewer says, in the reader's language: the same as every other script of the page. */

import { _, ngettext } from "../../static/js/texts.js";

export { _, ngettext };

/** A constant that is in the catalogue, for `_` to say when it is shown. */
export const N_ = (message: string): string => message;

/** About how wide the words are, in CSS pixels: letters of East Asian scripts are as wide as high. */
export const widthOf = (words: string): number => [...words].reduce((sum, letter) => sum + (letter > "\u2e80" ? 14 : 8), 0);
