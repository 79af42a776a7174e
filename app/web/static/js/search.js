// What a search found is walked and opened as the worklist is; nothing here is live.

import { walkable } from "./walking.js";

walkable(document.getElementById("rows"));
