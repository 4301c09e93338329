// The number of processes with each status, as tiles and as a strip of shares. A click on a tile filters by its status.
// Stalled processes have a tile of their own, because they also count under their status.

import { byId, el, setAttribute, setText } from "./dom.js";
import { count } from "./format.js";
import { byLife, kindOf } from "./status.js";

const MOST = 12;

export class Counters {
  #tiles = new Map();
  #shares = new Map();
  #pick;
  #stalled;

  // `pick(changes)`: the user pressed a tile; `changes` are its filters.
  constructor(pick) {
    this.#pick = pick;
    this.#stalled = this.#pressable("stalled", "stalled", () => ({ stalled: isPressed(this.#stalled) ? "" : "true" }));
    byId("stalled-counter").append(this.#stalled);
  }

  // `statistics`: see Statistics.present. A process without a status counts only in `all`.
  show(statistics, { status: selected, stalled }) {
    const known = new Map(Object.entries(statistics.by_status).filter(([status]) => status !== ""));
    if (selected && !known.has(selected)) known.set(selected, 0);
    const most = [...known].sort(([, a], [, b]) => b - a).slice(0, MOST).map(([status]) => status);
    if (selected && !most.includes(selected)) most.push(selected);
    const statuses = most.sort(byLife);
    keep(byId("counters"), this.#tiles, ["", ...statuses], (status) => this.#tile(status));
    keep(byId("shares"), this.#shares, statuses, (status) => el("span", { data: { kind: kindOf(status) } }));
    for (const [status, tile] of this.#tiles) {
      setAttribute(tile, "aria-pressed", String(status === selected));
      setText(tile.querySelector("b"), count(status === "" ? statistics.processes : known.get(status)));
    }
    setText(this.#tiles.get("").querySelector("span"), statistics.complete ? "all" : "newest");
    setAttribute(this.#stalled, "aria-pressed", String(Boolean(stalled)));
    setText(this.#stalled.querySelector("b"), count(statistics.stalled));
    byId("stalled-counter").hidden = statistics.stalled === 0 && !stalled;
    for (const [status, share] of this.#shares) share.style.flexGrow = known.get(status);
  }

  #tile(status) {
    const kind = status === "" ? "all" : kindOf(status);
    const tile = this.#pressable(kind, status || "all", () => ({ status: isPressed(tile) ? "" : status }));
    return tile;
  }

  #pressable(kind, text, changes) {
    const tile = el("button", { class: "tile", type: "button", data: { kind } }, el("b"), el("span", { text, title: text }));
    tile.addEventListener("click", () => this.#pick(changes()));
    return tile;
  }
}

const isPressed = (tile) => tile.getAttribute("aria-pressed") === "true";

// Give `parent` one element per name, in this order. Elements that stay are not touched.
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
