// Before the first paint: dark, unless this reader has chosen light; asked again by a page made ahead of time.
function choose() {
  try {
    if (localStorage.getItem("theme") === "light") document.documentElement.dataset.theme = "light";
    else delete document.documentElement.dataset.theme;
  } catch {
    // Storage is switched off: dark it stays.
  }
}

choose();
if (document.prerendering) document.addEventListener("prerenderingchange", choose, { once: true });
