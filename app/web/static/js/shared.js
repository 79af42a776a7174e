// What several pages use. It does nothing by itself, so it may be loaded more than once.

const EVENTS = "/api/v1/events";
const SILENT_MS = 40_000; // the server is heard every 15 s
const PAUSE_MS = { least: 5_000, most: 60_000 };

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
 * `lost` hears whether the server will be tried again; it is not once the session or the right to listen has ended.
 */
export function listen({ study, resync, open = () => {}, lost = () => {} }) {
  let stream = null;
  let heardAt = 0;
  let pause = PAUSE_MS.least;
  let againAt = Infinity;
  const start = () => {
    stream = new EventSource(EVENTS);
    heardAt = Date.now();
    againAt = Infinity;
    for (const name of ["open", "study", "resync", "beat"]) {
      stream.addEventListener(name, () => (heardAt = Date.now()));
    }
    stream.addEventListener("open", () => {
      pause = PAUSE_MS.least;
      open();
    });
    stream.addEventListener("study", (event) => study(JSON.parse(event.data).id));
    stream.addEventListener("resync", resync);
    stream.addEventListener("error", ({ target }) => {
      if (target !== stream) return;
      lost({ forGood: false });
      if (stream.readyState === EventSource.CLOSED) void refused();
    });
  };
  // A browser tries again by itself after a connection that broke, and never after an answer that is no stream (a
  // proxy's 502 while the service starts, too many pages, a silent database). Which answer it was it does not say.
  const refused = async () => {
    const closed = stream;
    againAt = Date.now() + pause * (0.5 + Math.random() / 2);
    pause = Math.min(2 * pause, PAUSE_MS.most);
    const answer = await fetch(EVENTS, { headers: { Accept: "text/event-stream" } }).catch(() => null);
    void answer?.body?.cancel();
    if (stream !== closed || ![401, 403].includes(answer?.status)) return;
    againAt = Infinity;
    lost({ forGood: true });
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
    else if (stream && Date.now() >= againAt) start();
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
