// One stream of events. After every loss it reconnects with Last-Event-ID, until it is stopped, or until the service says
// that no more events follow (204, or 404).
//
// Emits `open`, `lost` (detail: {error, retryAtMs}), `end`, and `message` for each event (detail: {name, data, id}).

import { NeedsKey, Refused } from "./api.js";
import { Backoff } from "./backoff.js";
import { EventParser } from "./sse.js";

const SILENCE_MS = 25_000; // the service sends a comment every 15 s: a longer silence means that the stream is dead

export class EventStream extends EventTarget {
  #api;
  #path;
  #lastId = null;
  #stopping = new AbortController();
  #backoff = new Backoff();

  constructor(api, path) {
    super();
    this.#api = api;
    this.#path = path;
  }

  async start() {
    while (!this.#stopping.signal.aborted) {
      let error = null;
      try {
        if (!(await this.#readToItsEnd())) return this.#announce("end");
      } catch (caught) {
        error = caught;
      }
      if (this.#stopping.signal.aborted) return;
      if (error instanceof Refused && error.status === 404) return this.#announce("end");
      await this.#pause(error);
    }
  }

  stop() {
    this.#stopping.abort();
  }

  // The service answers again: reconnect at once.
  wake() {
    this.dispatchEvent(new Event("wake"));
  }

  #announce(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  // Open one connection. Returns false if no more events follow.
  async #readToItsEnd() {
    const silence = new AbortController();
    const signal = AbortSignal.any([silence.signal, this.#stopping.signal]);
    let watchdog = setTimeout(() => silence.abort(), SILENCE_MS);
    try {
      const headers = this.#lastId === null ? {} : { "Last-Event-ID": this.#lastId };
      const response = await this.#api.get(this.#path, { headers, signal });
      if (response.status === 204) return false;
      this.#announce("open");
      const parser = new EventParser();
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
        clearTimeout(watchdog);
        watchdog = setTimeout(() => silence.abort(), SILENCE_MS);
        this.#backoff.reset();
        for (const event of parser.push(piece.value)) this.#take(event);
      }
      return true;
    } finally {
      clearTimeout(watchdog);
    }
  }

  #take(event) {
    if (event.retryMs !== undefined) {
      this.#backoff.leastMs = event.retryMs;
      return;
    }
    if (event.id !== undefined) this.#lastId = event.id;
    this.#announce("message", event);
  }

  // `wake`, a new key or a returning network ends the pause early.
  async #pause(error) {
    const waitMs = error instanceof NeedsKey ? Infinity : this.#backoff.next();
    this.#announce("lost", { error, retryAtMs: Date.now() + waitMs });
    const over = new AbortController();
    await new Promise((resolve) => {
      const once = { once: true, signal: over.signal };
      this.#api.addEventListener("key", resolve, once);
      addEventListener("online", resolve, once);
      this.addEventListener("wake", resolve, once);
      this.#stopping.signal.addEventListener("abort", resolve, once);
      if (waitMs < Infinity) AbortSignal.timeout(waitMs).addEventListener("abort", resolve, once);
    });
    over.abort();
  }
}
