// The form of filters: search, days, and a button that clears all filters.

import { byId, el, setAttribute, setText } from "./dom.js";
import { label } from "./format.js";
import { STALLED_FIRST } from "./order.js";
import { schema } from "./schema.js";

const own = new Map(); // the inputs of the schema's filters, by name

// Make an input for each filter of the schema, and for days if lists are ordered by a time that answers show.
export function offerFilters(filters) {
  for (const { name, type } of schema.filters) {
    const input = el("input", { type: "search", name, spellcheck: "false", autocapitalize: "off", ...(type === "integer" && { inputmode: "numeric" }) });
    input.addEventListener("change", () => filters.set(filters.ownly(name, input.value.trim())));
    own.set(name, input);
    byId("clear").before(el("label", {}, el("span", { text: label(name) }), input));
  }
  for (const name of ["from", "to"]) byId(name).parentElement.hidden = !schema.has_days;
  if (schema.has_days) setText(byId("from").previousElementSibling, `${schema.labelOf(schema.order_key)} from (UTC)`);
}

// `enter(text)`: the user pressed Enter in the search. `down()`: the arrow key that leads to the rows.
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
  byId("stalled-first").addEventListener("click", () => filters.set({ sort: filters.sort === STALLED_FIRST ? "" : STALLED_FIRST }, { replace: true }));
  byId("clear").addEventListener("click", () => filters.set(filters.none));
}

// Write the filters into the form, except into a field that has the focus.
export function showControls(filters, { present }) {
  const isFirst = filters.sort === STALLED_FIRST;
  setAttribute(byId("stalled-first"), "aria-pressed", String(isFirst));
  byId("stalled-first").hidden = !isFirst && (!present?.stalled || filters.stalled !== "");
  for (const name of ["search", "from", "to"]) {
    const input = byId(name);
    if (input.value !== filters[name] && input.value.trim() !== filters[name]) input.value = filters[name];
  }
  for (const [name, input] of own) {
    const value = filters.own[name] ?? "";
    if (input !== document.activeElement && input.value !== value) input.value = value;
  }
  byId("clear").hidden = !filters.areSet;
}
