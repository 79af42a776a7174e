// A page that waits for the answer to a look: it is loaded anew once, when the answer is there, and never under
// a reader's eyes. While the service cannot be had, what stands here stays.

import { loadAnew } from "./anew.js";

async function wait() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
  const page = answer && answer.status < 500 ? await answer.text().catch(() => null) : null;
  if (page !== null && !page.includes('id="looking"')) loadAnew();
  else setTimeout(wait, 1000);
}

if (document.getElementById("looking")) setTimeout(wait, 1000);
