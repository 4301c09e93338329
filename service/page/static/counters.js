// How many processes have each status, and the way to filter by it: one tile each, and the shares as one strip.

import { byId, el, setAttribute, setText } from "./dom.js";
import { count } from "./format.js";
import { byLife, kindOf } from "./status.js";

const MOST = 12;

// Counts by status of those that the other filters let through; a process without a status counts in `all` alone.
export function tally(processes) {
  const counts = new Map();
  for (const { status } of processes) if (status !== null) counts.set(status, (counts.get(status) ?? 0) + 1);
  return { all: processes.length, counts };
}

export class Counters {
  #tiles = new Map();
  #shares = new Map();
  #pick;

  constructor(pick) {
    this.#pick = pick;
  }

  // `selected`: the status that is filtered by, or "".
  show({ all, counts }, selected) {
    const known = new Map(counts);
    if (selected && !known.has(selected)) known.set(selected, 0);
    const most = [...known].sort(([, a], [, b]) => b - a).slice(0, MOST).map(([status]) => status);
    if (selected && !most.includes(selected)) most.push(selected);
    const statuses = most.sort(byLife);
    keep(byId("counters"), this.#tiles, ["", ...statuses], (status) => this.#tile(status));
    keep(byId("shares"), this.#shares, statuses, (status) => el("span", { data: { kind: kindOf(status) } }));
    for (const [status, tile] of this.#tiles) {
      setAttribute(tile, "aria-pressed", String(status === selected));
      setText(tile.querySelector("b"), count(status === "" ? all : known.get(status)));
    }
    for (const [status, share] of this.#shares) share.style.flexGrow = known.get(status);
  }

  #tile(status) {
    const data = { kind: status === "" ? "all" : kindOf(status), status };
    const tile = el("button", { class: "tile", type: "button", data }, el("b"), el("span", { text: status || "all" }));
    tile.addEventListener("click", () => this.#pick(tile.getAttribute("aria-pressed") === "true" ? "" : status));
    return tile;
  }
}

// Make `parent` hold one element for each name, in this order; those that stay are left alone.
function keep(parent, elements, names, make) {
  for (const [name, element] of elements) {
    if (!names.includes(name)) {
      element.remove();
      elements.delete(name);
    }
  }
  names.forEach((name, at) => {
    if (!elements.has(name)) elements.set(name, make(name));
    if (parent.children[at] !== elements.get(name)) parent.insertBefore(elements.get(name), parent.children[at] ?? null);
  });
}
