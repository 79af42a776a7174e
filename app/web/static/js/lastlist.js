// Which list this tab showed last, for the same person: the key that leads back to it keeps the filter. Nothing but
// the filter and section of its address is kept, and it leads to the worklist whatever is found.

const KEY = "list";
const by = () => document.body.dataset.user;

export function keepList() {
  const query = new URLSearchParams(location.search);
  for (const name of ["cursor", "signed"]) query.delete(name);
  try {
    sessionStorage.setItem(KEY, JSON.stringify({ by: by(), query: query.toString() }));
  } catch {
    // Storage is switched off or full: the key leads to the whole list.
  }
}

export function lastList() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY));
    return kept?.by === by() && kept.query ? `/?${kept.query}` : "/";
  } catch {
    return "/";
  }
}
