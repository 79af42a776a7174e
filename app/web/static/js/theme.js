// Before the first paint: dark, unless this reader has chosen light.
try {
  if (localStorage.getItem("theme") === "light") document.documentElement.dataset.theme = "light";
} catch {
  // Storage is switched off: dark it stays.
}
