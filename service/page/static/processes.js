// What is known of the processes. Two sources: the stream of the service's model, which is always the newer one, and
// pages of GET /status, for what is older than the model's window or was asked for before the stream began.

import { schema } from "./schema.js";

const isSame = (a, b) => a === b || (typeof a === "object" && JSON.stringify(a) === JSON.stringify(b));

// A row of a list lacks some keys: that is no difference.
export const differs = (before, process) =>
  before === undefined || schema.keys.some(({ name }) => before[name] !== undefined && !isSame(before[name], process[name]));

const isRow = (process) => schema.keys.some(({ name }) => process[name] === undefined);

// The value that lists are sorted by. RFC 3339 in UTC with a fraction of any length becomes text that sorts by time;
// no value sorts as the oldest.
function sortable(process) {
  const value = process[schema.order_key] ?? null;
  if (typeof value !== "string") return value ?? -Infinity;
  return value.endsWith("Z") ? value.slice(0, 19) + value.slice(20, -1).padEnd(9, "0") : value;
}

function precedes([aValue, aId], [bValue, bId]) {
  if (aValue === bValue) return aId > bId;
  if (aValue === -Infinity || bValue === -Infinity) return bValue === -Infinity;
  return aValue > bValue;
}

export class Processes {
  #followed = new Map();
  #listed = new Map();
  #deletedMeanwhile = new Set();
  #inOrder = null;
  arrivals = 0; // how many have come that were not known before

  get(id) {
    return this.#followed.get(id) ?? this.#listed.get(id);
  }

  // Whether the stream reports its changes.
  isFollowed(id) {
    return this.#followed.has(id);
  }

  get size() {
    return this.#followed.size + this.#listed.size;
  }

  // A state from the stream. Returns whether it is new.
  follow(process) {
    const id = process.process_id;
    const before = this.get(id);
    if (before === undefined) this.arrivals += 1;
    if (before === undefined || sortable(before) !== sortable(process)) this.#inOrder = null;
    const isNews = differs(before, process);
    this.#followed.set(id, isNews || isRow(before) ? process : before);
    this.#listed.delete(id);
    return isNews;
  }

  // `deleted`: false where it has only left the model's window, which is no reason to forget it.
  remove(id, deleted) {
    const process = this.get(id);
    this.#followed.delete(id);
    if (deleted === false && process !== undefined) {
      this.#listed.set(id, process);
      return;
    }
    this.#listed.delete(id);
    this.#deletedMeanwhile.add(id);
    this.#inOrder = null;
  }

  // The whole present state follows: everything held now is no longer certain.
  reset() {
    this.#followed.clear();
    this.#listed.clear();
    this.#inOrder = null;
  }

  // A page is requested: a process deleted before its answer arrives must not come back with it.
  beginPage() {
    this.#deletedMeanwhile.clear();
  }

  // Answers to requests: they count only where the stream has reported nothing.
  add(processes) {
    for (const process of processes) {
      const id = process.process_id;
      if (this.#followed.has(id) || this.#deletedMeanwhile.has(id)) continue;
      const before = this.#listed.get(id);
      if (before === undefined || sortable(before) !== sortable(process)) this.#inOrder = null;
      this.#listed.set(id, process);
    }
  }

  // Newest first, ties by ID descending, as the API lists them.
  inOrder() {
    this.#inOrder ??= [...this.#followed.keys(), ...this.#listed.keys()]
      .map((id) => [sortable(this.get(id)), id])
      .sort((a, b) => (precedes(a, b) ? -1 : 1))
      .map(([, id]) => id);
    return this.#inOrder.map((id) => this.get(id));
  }
}
