// Data for the panel that the table does not have: the process's stream of events, and the process in full with its products.
// The latter is requested again after changes, but not after every change, because each answer is a read of Firestore.
//
// Emits `change`. `products`, `stalledSince` (a time, or null) and `failure` (a sentence) are the latest known values.

import { NeedsKey } from "./api.js";
import { EventStream } from "./event_stream.js";
import { schema } from "./schema.js";
import { isOpen } from "./status.js";

const LEAST_INTERVAL_MS = 10_000;

export class Followed extends EventTarget {
  #api;
  #processes;
  #ending = new AbortController();
  #askedAtMs = -Infinity;
  #askedFor = null;
  #stream;
  products = null;
  stalledSince = null;
  isGone = false;
  failure = "";

  constructor(api, processes, id) {
    super();
    [this.#api, this.#processes, this.id] = [api, processes, id];
    this.#stream = new EventStream(api, schema.pathOf(id, "/events", { follow: "true" }));
    this.#stream.addEventListener("message", ({ detail }) => this.#take(detail));
    this.#stream.start();
  }

  end() {
    this.#ending.abort();
    this.#stream.stop();
  }

  // The service answers again.
  wake() {
    this.#stream.wake();
  }

  // Request it, unless the data is up to date, or a request was sent a moment ago.
  refresh(nowMs) {
    const process = this.#processes.get(this.id);
    const leastMs = process !== undefined && isOpen(process) ? LEAST_INTERVAL_MS : LEAST_INTERVAL_MS / 10;
    if (process === this.#askedFor || nowMs - this.#askedAtMs < leastMs) return;
    [this.#askedFor, this.#askedAtMs] = [process, nowMs];
    this.#ask();
  }

  #take({ name, data }) {
    if (name === "status") {
      this.#processes.learnFromStream(schema.named(JSON.parse(data)));
      this.#learn({ isGone: false, stalledSince: null });
    }
    if (name === "stalled") this.#learn({ stalledSince: JSON.parse(data).last_written });
    if (name === "removed") {
      this.#processes.remove(this.id);
      this.#learn({ isGone: true });
    }
  }

  async #ask() {
    const askedAtMs = Date.now();
    try {
      const path = schema.pathOf(this.id, "", schema.has_products ? { include_products: "true" } : {});
      const response = await this.#api.get(path, { signal: this.#ending.signal });
      const { products = null, ...process } = await response.json();
      const before = this.#processes.get(this.id);
      this.#processes.learn(schema.named(process), askedAtMs);
      if (before === this.#askedFor) this.#askedFor = this.#processes.get(this.id);
      this.#learn({ products, failure: "" });
    } catch (error) {
      if (this.#ending.signal.aborted) return;
      if (error instanceof NeedsKey) this.#api.addEventListener("key", () => this.#ask(), { once: true, signal: this.#ending.signal });
      else this.#learn({ failure: error.message });
    }
  }

  #learn(known) {
    Object.assign(this, known);
    this.dispatchEvent(new Event("change"));
  }
}
