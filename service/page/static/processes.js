// What is known of each process. Two sources: rows of lists, and the stream of the one that the panel shows. What the
// stream has told is newer than every list that was asked for before.

import { schema } from "./schema.js";

const isSame = (a, b) => a === b || (typeof a === "object" && JSON.stringify(a) === JSON.stringify(b));

// A row of a list lacks some keys: that is no difference.
const differs = (before, process) =>
  schema.keys.some(({ name }) => before[name] !== undefined && process[name] !== undefined && !isSame(before[name], process[name]));

const isRow = (process) => schema.keys.some(({ name }) => process[name] === undefined);

export class Processes {
  #history;
  #known = new Map(); // {process, toldAtMs}

  constructor(history) {
    this.#history = history;
  }

  get(id) {
    return this.#known.get(id)?.process;
  }

  // A state from an answer that was asked for at `askedAtMs`. `isNew`: the process did not exist before.
  learn(process, askedAtMs, isNew = false) {
    const known = this.#known.get(process.process_id);
    if (known === undefined || known.toldAtMs <= askedAtMs) this.#set(process, known?.toldAtMs ?? -Infinity, isNew);
  }

  // A state from the stream.
  tell(process) {
    this.#set(process, Date.now());
  }

  // The stream has told that it was deleted.
  remove(id) {
    this.#known.set(id, { process: undefined, toldAtMs: Date.now() });
    this.#history.forget(id);
  }

  // Forget all others, but not what this page has seen of them.
  keepOnly(ids) {
    const kept = new Set(ids);
    for (const id of this.#known.keys()) if (!kept.has(id)) this.#known.delete(id);
  }

  #set(process, toldAtMs, isNew = false) {
    const was = this.get(process.process_id);
    const isNews = was === undefined ? isNew : differs(was, process);
    const adds = was === undefined || isNews || (isRow(was) && !isRow(process));
    const is = adds ? { ...was, ...process } : was;
    this.#known.set(process.process_id, { process: is, toldAtMs });
    if (isNews) this.#history.add(was, is, Date.now());
  }
}
