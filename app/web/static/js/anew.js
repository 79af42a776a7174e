// A page that loads itself anew, but not while it is being left: that would call off the way to the next page.

const ON_THE_WAY_MS = 10_000; // a download, or a server that never answers, leaves nowhere
let left = -Infinity;

addEventListener("beforeunload", () => {
  left = performance.now();
});

export function loadAnew() {
  const wait = left + ON_THE_WAY_MS - performance.now();
  if (wait > 0) setTimeout(loadAnew, wait);
  else location.reload();
}
