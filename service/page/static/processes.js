// What is known of the processes. Two sources: the stream of the service's model, which is always the newer one, and
// pages of GET /status, for what is older than the model's window or was asked for before the stream began.

const COMPARED = ["status", "start_time", "end_time", "last_updated", "csv_url", "products_processed", "products_failed"];

// A row of a list lacks some fields: that is no difference.
const differs = (before, process) =>
  before === undefined || COMPARED.some((field) => before[field] !== undefined && before[field] !== process[field]);

// RFC 3339 in UTC with a fraction of any length, as text that sorts by time; no time sorts as the oldest.
const sortable = (time) => (time === null ? "" : time.slice(0, 19) + time.slice(20, -1).padEnd(9, "0"));

export class Processes {
  #followed = new Map();
  #listed = new Map();
  #deletedMeanwhile = new Set();
  #inOrder = null;

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
    if (before?.start_time !== process.start_time) this.#inOrder = null;
    const isNews = differs(before, process);
    this.#followed.set(id, isNews || before.csv_url === undefined ? process : before);
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
      if (this.#listed.get(id)?.start_time !== process.start_time) this.#inOrder = null;
      this.#listed.set(id, process);
    }
  }

  // Newest first, ties by ID descending, as the API lists them.
  inOrder() {
    this.#inOrder ??= [...this.#followed.keys(), ...this.#listed.keys()]
      .map((id) => [sortable(this.get(id).start_time), id])
      .sort(([aTime, aId], [bTime, bId]) => (aTime < bTime || (aTime === bTime && aId < bId) ? 1 : -1))
      .map(([, id]) => id);
    return this.#inOrder.map((id) => this.get(id));
  }
}
