/**
 * The radiographs of the study page.
 *
 * Reads the data blocks `#study-images` and `#study-beside`, paints into panes in `#viewer`, and tells the page what it
 * does through data attributes of `#viewer` (state, window, scale, invert, heat of the pane in use; painted of the
 * current study) and the event `radiograph-painted`.
 */

import { ReadingDesk } from "./desk";
import type { Beside, StudyImage } from "./source";

performance.mark("viewer-started");
const root = document.getElementById("viewer");
const told = <T>(id: string): T => JSON.parse(document.getElementById(id)?.textContent ?? "null") as T;
if (root) new ReadingDesk(root, told<StudyImage[]>("study-images") ?? [], told<Beside>("study-beside"));
