// The stream of every process in the service's model, written into what the page knows.
//
// `isOpen` is null before the first attempt has ended. Announces `change` where any of its fields has changed, and
// `forgotten` when everything known so far is no longer certain.

import { EventStream } from "./event_stream.js";
import { schema } from "./schema.js";

export class ModelStream extends EventTarget {
  #stream;
  #processes;
  #history;
  #activity;
  isOpen = null;
  hasPresentState = false; // until then what comes is no change but what was there before
  error = null;
  retryAtMs = 0;

  constructor(api, processes, history, activity) {
    super();
    [this.#processes, this.#history, this.#activity] = [processes, history, activity];
    this.#stream = new EventStream(api, "events");
    this.#stream.addEventListener("open", () => this.#opened());
    this.#stream.addEventListener("lost", ({ detail }) => this.#become({ isOpen: false, ...detail }));
    this.#stream.addEventListener("message", ({ detail }) => this.#take(detail));
  }

  start() {
    this.#stream.start();
  }

  // The service answers again: reconnect now, unless the stream is open.
  wake() {
    this.#stream.wake();
  }

  #become(fields) {
    Object.assign(this, fields);
    this.dispatchEvent(new Event("change"));
  }

  #opened() {
    const wasInterrupted = this.isOpen === false && !this.hasPresentState;
    if (wasInterrupted) this.#forget(); // it ended amid the present state: no event will report what was removed since
    this.#become({ isOpen: true, error: null });
  }

  #forget() {
    this.hasPresentState = false;
    this.#processes.reset();
    this.dispatchEvent(new Event("forgotten"));
  }

  #take({ name, data, id }) {
    if (name === "status") this.#changed(schema.named(JSON.parse(data)));
    if (name === "removed") this.#removed(schema.named(JSON.parse(data)));
    if (name === "reset") this.#forget();
    if (id !== undefined) this.hasPresentState = true; // the last event of a batch carries the ID
    this.dispatchEvent(new Event("change"));
  }

  #changed(process) {
    const was = this.#processes.get(process.process_id);
    if (!this.#processes.follow(process) || !this.hasPresentState) return;
    this.#history.add(was, process, Date.now());
    this.#activity.changed();
  }

  #removed({ process_id: id, deleted }) {
    this.#processes.remove(id, deleted);
    if (deleted !== false) this.#history.forget(id);
    this.#activity.changed();
  }
}
