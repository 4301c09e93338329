// The form of filters: search, days, and the way back to everything.

import { byId } from "./dom.js";

// `enter(text)`: Enter was pressed in the search; `down()`: the arrow that leads from it to the rows.
export function bindControls(filters, { enter, down }) {
  const search = byId("search");
  search.addEventListener("input", () => filters.set({ search: search.value.trim() }, { replace: true }));
  search.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") down();
    else if (event.key === "Escape" && search.value === "") search.blur();
    else return;
    event.preventDefault();
  });
  byId("filters").addEventListener("submit", (event) => {
    event.preventDefault();
    if (search.value.trim()) enter(search.value.trim());
  });
  for (const name of ["from", "to"]) byId(name).addEventListener("change", () => filters.set({ [name]: byId(name).value }));
  byId("clear").addEventListener("click", () => filters.set({ status: "", from: "", to: "", search: "" }));
}

// Write the filters into the form, except into a field that has the focus.
export function showControls(filters) {
  for (const name of ["search", "from", "to"]) {
    const input = byId(name);
    if (input.value !== filters[name] && input.value.trim() !== filters[name]) input.value = filters[name];
  }
  byId("clear").hidden = !filters.areSet;
}
