// Further pages of the worklist stand below the first without another page being opened. The link to the next
// page stays where it is: it is what somebody without scripts follows, and where the following page comes from.

import { loadAnew } from "./anew.js";

const NEXT = ".pager a[rel=next]";
const STUDY = "tr[data-study]";
/** Beyond so many pages the link is a link again: a list of thousands is searched or filtered, not scrolled. */
const MOST_PAGES = 40;
/** Milliseconds; a connection that died unheard would keep a question for a quarter of an hour. */
export const ANSWERS_WITHIN = 30_000;

/** The live page at an address; null where it cannot be had now. A session that has ended leads to the sign-in. */
async function pageAt(query) {
  const answer = await fetch(`/worklist/page${query}`, {
    headers: { Accept: "text/html" },
    signal: AbortSignal.timeout(ANSWERS_WITHIN),
  }).catch(() => null);
  if (answer?.redirected || answer?.status === 401) loadAnew();
  if (!answer?.ok || answer.redirected) return null;
  const text = await answer.text().catch(() => null);
  const page = text === null ? null : new DOMParser().parseFromString(text, "text/html");
  return page?.getElementById("unsigned") ? page : null; // what stands between may answer with a page of its own
}

function queryAfter(page) {
  const link = page.querySelector(NEXT);
  return link ? new URL(link.getAttribute("href"), location.href).search : null;
}

/** The rows of that page that are not among these, without a heading that stands already. */
function further(rows, page) {
  const theirs = [...page.querySelectorAll("#rows tr")];
  const known = new Set([...rows.querySelectorAll(STUDY)].map((row) => row.dataset.study));
  const parts = new Set([...rows.querySelectorAll("tr.section")].map((row) => row.dataset.part));
  return theirs.filter((row) => (row.dataset.study ? !known.has(row.dataset.study) : !parts.has(row.dataset.part)));
}

export class Pages {
  /** `rows` is the list's body; `taken(rows)` hears of rows that were appended. */
  constructor(rows, taken) {
    this.rows = rows;
    this.taken = taken;
    this.count = 1;
    this.busy = null;
    // Two screens before its end the list is longer already.
    this.seen = new IntersectionObserver(
      (entries) => {
        if (entries.some((entry) => entry.isIntersecting)) void this.more();
      },
      { rootMargin: "0px 0px 200% 0px" },
    );
    this.lookAgain();
  }

  /** The next page's rows stand below the others; false where there are none, or no answer came. */
  more() {
    this.busy ??= this.fetchMore().finally(() => (this.busy = null));
    return this.busy;
  }

  async fetchMore() {
    const query = queryAfter(document);
    if (!query || this.count >= MOST_PAGES) return false;
    const page = await pageAt(query);
    // The list was renewed meanwhile and ends elsewhere: what comes after its end before is not what comes next.
    if (queryAfter(document) !== query) {
      this.lookAgain();
      return true;
    }
    if (page?.getElementById("rows")?.tagName !== "TBODY") return false;
    const fresh = further(this.rows, page);
    this.rows.append(...fresh);
    this.count++;
    this.follow(page);
    this.taken(fresh.filter((row) => row.dataset.study));
    return true;
  }

  /** As many pages as stand here, as they are now; null where one of them cannot be had. */
  async anew() {
    const pages = [];
    for (let query = location.search; pages.length < this.count && query !== null; query = queryAfter(pages.at(-1))) {
      const page = await pageAt(query);
      if (!page) return null;
      pages.push(page);
    }
    return pages;
  }

  /** The rows are those of the pages. */
  replace(pages) {
    this.rows.replaceChildren(...pages[0].querySelectorAll("#rows tr"));
    for (const page of pages.slice(1)) this.rows.append(...further(this.rows, page));
    this.count = pages.length;
    this.follow(pages.at(-1));
  }

  /** The link leads on from the last page; a list that has ended before may go on again. */
  follow(page) {
    const query = queryAfter(page);
    const link = document.querySelector(NEXT);
    if (!query) link?.remove();
    else if (link) link.href = `/${query}`;
    else document.querySelector(".pager")?.append(document.importNode(page.querySelector(NEXT), true));
    this.rows.dataset.last = query ? "no" : "yes";
    this.lookAgain();
  }

  /** The end may still be in sight, of which an observer says nothing a second time. */
  lookAgain() {
    const end = document.querySelector(".pager");
    if (!end) return;
    this.seen.unobserve(end);
    this.seen.observe(end);
  }
}
