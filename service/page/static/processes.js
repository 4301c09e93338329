// The known states of processes. They come from rows of lists, and from the stream of the process in the panel. A state from
// the stream is newer than every list that was requested before it came.

import { schema } from "./schema.js";

const isSame = (a, b) => a === b || (typeof a === "object" && JSON.stringify(a) === JSON.stringify(b));

// A row of a list lacks some keys: this is no difference.
const differs = (before, process) =>
  schema.keys.some(({ name }) => before[name] !== undefined && process[name] !== undefined && !isSame(before[name], process[name]));

const isRow = (process) => schema.keys.some(({ name }) => process[name] === undefined);

export class Processes {
  #history;
  #known = new Map(); // {process, streamedAtMs}

  constructor(history) {
    this.#history = history;
  }

  get(id) {
    return this.#known.get(id)?.process;
  }

  // The known ones of these processes.
  all(ids) {
    return [...ids].map((id) => this.get(id)).filter((process) => process !== undefined);
  }

  // Take a state from an answer that was requested at `askedAtMs`. `isNew`: the process did not exist before.
  learn(process, askedAtMs, isNew = false) {
    const known = this.#known.get(process.process_id);
    if (known === undefined || known.streamedAtMs <= askedAtMs) this.#set(process, known?.streamedAtMs ?? -Infinity, isNew);
  }

  // Take a state from the stream.
  learnFromStream(process) {
    this.#set(process, Date.now());
  }

  // The stream says that this process was deleted.
  remove(id) {
    this.#known.set(id, { process: undefined, streamedAtMs: Date.now() });
    this.#history.forget(id);
  }

  // Forget all other states, but not the changes that this page has seen.
  keepOnly(ids) {
    const kept = new Set(ids);
    for (const id of this.#known.keys()) if (!kept.has(id)) this.#known.delete(id);
  }

  #set(process, streamedAtMs, isNew = false) {
    const was = this.get(process.process_id);
    const isNews = was === undefined ? isNew : differs(was, process);
    const adds = was === undefined || isNews || (isRow(was) && !isRow(process));
    const is = adds ? { ...was, ...process } : was;
    this.#known.set(process.process_id, { process: is, streamedAtMs });
    if (isNews) this.#history.add(was, is, Date.now());
  }
}
