/**
 * The radiographs of the study page.
 *
 * Reads the data blocks `#study-images` and `#study-beside`, paints into panes in `#viewer`, and tells the page what it
 * does through data attributes of `#viewer` (state, window, scale, invert, heat of the pane in use; main, the state of
 * the first pane, and painted of the current study) and the event `radiograph-painted`.
 */

import { ReadingDesk } from "./desk";
import { isMadeAhead, isShown, whenShown } from "./shown";
import type { Beside, StudyImage } from "./source";

performance.mark("viewer-started");
const root = document.getElementById("viewer");
const told = <T>(id: string): T => JSON.parse(document.getElementById(id)?.textContent ?? "null") as T;
const begin = () => {
  if (root) new ReadingDesk(root, told<StudyImage[]>("study-images") ?? [], told<Beside>("study-beside"), whenShown());
};
// A page that is made ahead of time fetches its pictures too. One that was only fetched ahead, and is on the screen
// already, fetches them as any other: once its view is on record.
if (isShown() || isMadeAhead()) begin();
else void whenShown().then(begin);
