// What the panel needs beyond the table: one process in full, with its products, asked for again when it has changed
// but not at every change, since each answer is a read of Firestore; and, where the process is older than the model's
// window, a stream of its own.
//
// Announces `answer`. `products` and `failure` (a sentence) hold the last answer.

import { NeedsKey } from "./api.js";
import { EventStream } from "./event_stream.js";
import { schema } from "./schema.js";
import { isOpen } from "./status.js";

const LEAST_INTERVAL_MS = 10_000;

export class Followed extends EventTarget {
  #api;
  #ending = new AbortController();
  #askedAtMs = -Infinity;
  #askedFor = null;
  #stream = null;
  products = null;
  failure = "";

  // `take(process)`: what was learnt of it.
  constructor(api, id, take) {
    super();
    this.#api = api;
    this.id = id;
    this.take = take;
  }

  end() {
    this.#ending.abort();
    this.#stream?.stop();
  }

  // Ask, unless what is known is of this version, or was asked for a moment ago.
  refresh(process, nowMs) {
    const isNews = process !== this.#askedFor;
    const leastMs = process !== undefined && isOpen(process) ? LEAST_INTERVAL_MS : LEAST_INTERVAL_MS / 10;
    if (!isNews || nowMs - this.#askedAtMs < leastMs) return;
    [this.#askedFor, this.#askedAtMs] = [process, nowMs];
    this.#ask();
  }

  // From now on changes come, though not by the stream of the model.
  followApart() {
    if (this.#stream !== null) return;
    this.#stream = new EventStream(this.#api, schema.pathOf(this.id, "/events"));
    this.#stream.addEventListener("message", ({ detail }) => {
      if (detail.name === "status") this.take(schema.named(JSON.parse(detail.data)));
      if (detail.name === "removed") this.#learn({ failure: "This process is no longer there." });
    });
    this.#stream.start();
  }

  async #ask() {
    try {
      const path = schema.pathOf(this.id, "", schema.has_products ? { include_products: "true" } : {});
      const response = await this.#api.get(path, { signal: this.#ending.signal });
      const { products = null, ...process } = await response.json();
      this.take(schema.named(process));
      this.#learn({ products, failure: "" });
    } catch (error) {
      if (this.#ending.signal.aborted) return;
      if (error instanceof NeedsKey) this.#api.addEventListener("key", () => this.#ask(), { once: true, signal: this.#ending.signal });
      else this.#learn({ failure: error.message });
    }
  }

  #learn(known) {
    Object.assign(this, known);
    this.dispatchEvent(new Event("answer"));
  }
}
