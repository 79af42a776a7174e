/**
 * Whether the reader may see the page. One that was made ahead of time is covered (`data-ahead` of `#content`)
 * until the script of the page has its view on record; it says so with the event `study-shown`.
 */

export function isShown(): boolean {
  return document.getElementById("content")?.dataset.ahead === undefined;
}

export function whenShown(): Promise<void> {
  if (isShown()) return Promise.resolve();
  return new Promise((resolve) => {
    document.addEventListener("study-shown", () => resolve(), { once: true });
  });
}
