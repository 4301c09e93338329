// Repeats one request. While nothing changes, it costs a 304. Only one request is under way at a time, so answers come in
// the order of the requests. None is sent while the page is hidden.
//
// Emits `change` after each answer and each failure. `isOpen` says whether the service answered last; null before the first
// answer. `error` is the last failure; null after an answer.

import { NeedsKey, Refused } from "./api.js";
import { Backoff } from "./backoff.js";

const TIMEOUT_MS = 20_000; // in an outage the service tries to reach Firestore first, for some seconds

export class Poll extends EventTarget {
  #api;
  #question;
  #take;
  #path = null;
  #etag = null;
  #asking = new AbortController();
  #endPause = () => {};
  #isWoken = false;
  #backoff = new Backoff();
  isOpen = null;
  error = null;
  retryAtMs = 0;

  // `question()`: the path to request now, or null. `take(answer)` gets {body, askedAtMs, source, ageMs}; `body` is null if
  // nothing has changed. It returns the milliseconds until the next request.
  constructor(api, question, take) {
    super();
    [this.#api, this.#question, this.#take] = [api, question, take];
    api.addEventListener("key", () => this.restart());
    addEventListener("online", () => this.wake());
    document.addEventListener("visibilitychange", () => this.wake());
  }

  async start() {
    for (;;) await this.#pause(await this.#ask());
  }

  // Send a request now, or as soon as the present one is answered.
  wake() {
    this.#isWoken = true;
    this.#endPause();
  }

  // The path has changed: drop the answer to the present request.
  restart() {
    this.#asking.abort();
    this.wake();
  }

  // Resolves to the milliseconds until the next request.
  async #ask() {
    this.#isWoken = false;
    const path = this.#question();
    if (path === null || document.hidden) return Infinity;
    if (path !== this.#path) [this.#path, this.#etag] = [path, null];
    const asking = (this.#asking = new AbortController());
    try {
      const answer = await this.#answer(path, AbortSignal.any([asking.signal, AbortSignal.timeout(TIMEOUT_MS)]));
      if (asking.signal.aborted) return 0;
      this.#backoff.reset();
      const waitMs = this.#take(answer);
      this.#become({ isOpen: true, error: null });
      return waitMs;
    } catch (error) {
      return asking.signal.aborted ? 0 : this.#failed(error);
    }
  }

  async #answer(path, signal) {
    const headers = this.#etag === null ? {} : { "If-None-Match": this.#etag };
    const askedAtMs = Date.now();
    const response = await this.#api.get(path, { headers, signal, accepts: 304 });
    const body = response.status === 304 ? null : await response.json();
    this.#etag = response.headers.get("ETag");
    return { body, askedAtMs, source: response.headers.get("X-Cache"), ageMs: Number(response.headers.get("Age")) * 1000 };
  }

  // If only another path or key can help, wait for that.
  #failed(error) {
    const isWrong = error instanceof Refused && error.status < 500;
    const waitMs = this.#backoff.next();
    this.#become({ isOpen: error instanceof Refused, error, retryAtMs: Date.now() + waitMs });
    return isWrong || error instanceof NeedsKey ? Infinity : waitMs;
  }

  #become(fields) {
    Object.assign(this, fields);
    this.dispatchEvent(new Event("change"));
  }

  #pause(waitMs) {
    return new Promise((resolve) => {
      if (this.#isWoken) return resolve();
      const timer = waitMs < Infinity ? setTimeout(resolve, waitMs) : undefined;
      this.#endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
