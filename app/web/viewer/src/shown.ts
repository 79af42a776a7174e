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

/** A page that is made ahead of time has no frames before it is shown, but may paint into its canvases. */
export function isMadeAhead(): boolean {
  return "prerendering" in document && document.prerendering === true;
}

/** Before the next frame; at once where there are none. */
export function soon(act: () => void): void {
  if (isMadeAhead()) queueMicrotask(act);
  else requestAnimationFrame(act);
}

/** On every change of the pixels there are for one of CSS: another screen, another zoom of the page. */
export function onOtherPixels(act: () => void): void {
  const these = matchMedia(`(resolution: ${devicePixelRatio}dppx)`);
  const changed = () => {
    onOtherPixels(act);
    act();
  };
  these.addEventListener("change", changed, { once: true });
}
