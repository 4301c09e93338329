// The latest changes that this page has seen, up to a limit, for the timeline and for speeds.

import { schema } from "./schema.js";

const CHANGES_EACH = 60;
const PROCESSES = 500;
const NONE = [];
const SPEED_WINDOW_MS = 60_000;
const SPEED_EXPIRES_MS = 20_000;
const LEAST_SPEED_S = 3; // the times of changes are precise to a second

const handled = (process) => (schema.value(process, "processed") ?? 0) + (schema.value(process, "failed") ?? 0);

export class History {
  #changes = new Map(); // processes in the order of their last change, latest last

  // `was` is undefined for a new process.
  add(was, is, atMs) {
    const id = is.process_id;
    const changes = this.#changes.get(id) ?? [];
    this.#changes.delete(id);
    this.#changes.set(id, [...changes, { was, is, atMs }].slice(-CHANGES_EACH));
    if (this.#changes.size > PROCESSES) this.#changes.delete(this.#changes.keys().next().value);
  }

  forget(id) {
    this.#changes.delete(id);
  }

  of(id) {
    return this.#changes.get(id) ?? NONE;
  }

  // The time of the last change that this page has seen; null if it has seen none.
  changedMs(id) {
    return this.of(id).at(-1)?.atMs ?? null;
  }

  // Items per second, from the changes of the last minute; null if there are too few changes.
  speed(id, nowMs) {
    const recent = this.of(id).filter((change) => nowMs - change.atMs < SPEED_WINDOW_MS);
    const [first, last] = [recent[0], recent.at(-1)];
    if (recent.length < 2 || nowMs - last.atMs > SPEED_EXPIRES_MS) return null;
    const seconds = (last.atMs - first.atMs) / 1000;
    const items = handled(last.is) - handled(first.is);
    return seconds >= LEAST_SPEED_S && items >= 0 && schema.has("processed") ? items / seconds : null;
  }
}
