// What several pages use. It does nothing by itself, so it may be loaded more than once.

const SILENT_MS = 40_000; // the server is heard every 15 s

const TEXTS = "textarea, select, [contenteditable], input:not([type=radio]):not([type=checkbox]):not([type=range])";

export function isTyping(target) {
  return target instanceof HTMLElement && target.matches(TEXTS);
}

export function csrf() {
  return document.body.dataset.csrf ?? "";
}

/**
 * Live events while the page is seen. A hidden page lets go of its stream, because a browser opens only six
 * connections to one server; when it is seen again, `resync` tells it to look at everything anew.
 * `lost` hears whether the server will be tried again; it is not once the session has ended.
 */
export function listen({ study, resync, open = () => {}, lost = () => {} }) {
  let stream = null;
  let heardAt = 0;
  const start = () => {
    stream = new EventSource("/api/v1/events");
    heardAt = Date.now();
    for (const name of ["open", "study", "resync", "beat"]) {
      stream.addEventListener(name, () => (heardAt = Date.now()));
    }
    stream.addEventListener("open", open);
    stream.addEventListener("study", (event) => study(JSON.parse(event.data).id));
    stream.addEventListener("resync", resync);
    stream.addEventListener("error", () => lost({ forGood: stream?.readyState === EventSource.CLOSED }));
  };
  const stop = () => {
    stream?.close();
    stream = null;
  };
  const again = () => {
    if (!stream) return;
    stop();
    lost({ forGood: false });
    start();
  };
  // A connection that ends without a word (a cable pulled, a machine that slept) never tells of its end.
  setInterval(() => {
    if (stream?.readyState === EventSource.OPEN && Date.now() - heardAt > SILENT_MS) again();
  }, 5000);
  window.addEventListener("offline", again);
  window.addEventListener("online", again);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) stop();
    else if (!stream) start();
  });
  window.addEventListener("pagehide", stop);
  window.addEventListener("pageshow", () => {
    if (!stream && !document.hidden) start();
  });
  if (!document.hidden) start();
}
