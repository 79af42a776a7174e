/** What the viewer says, in the reader's language: the same as every other script of the page. */

import { _, ngettext } from "../../static/js/texts.js";

export { _, ngettext };

/** A constant that is in the catalogue, for `_` to say when it is shown. */
export const N_ = (message: string): string => message;
