// The process that the panel shows: opens, updates and closes the panel, and moves the focus there and back.

import { byId } from "./dom.js";
import { Detail } from "./detail.js";
import { Followed } from "./followed.js";

const covers = matchMedia("(max-width: 60rem)"); // as in the style sheet: the panel covers everything else

export class Panel {
  #api;
  #processes;
  #history;
  #detail;
  #close;
  #followed = null;
  #last = undefined; // its last known state, in case it is deleted

  constructor(api, processes, history, close) {
    [this.#api, this.#processes, this.#history] = [api, processes, history];
    this.#close = close;
  }

  // The answers' keys are known now.
  begin() {
    this.#detail = new Detail(this.#close);
  }

  get id() {
    return this.#followed?.id ?? "";
  }

  // Show this process; none if `id` is empty. `changed()` is called when there is something new to draw.
  turnTo(id, changed) {
    this.#followed?.end();
    this.#followed = id ? new Followed(this.#api, this.#processes, id) : null;
    this.#last = undefined;
    if (id) this.#detail.open(id);
    else this.#detail.close();
    byId("board").classList.toggle("split", Boolean(id));
    this.#followed?.addEventListener("change", changed);
    this.#setBehind();
  }

  focus() {
    this.#detail.focus();
  }

  // The service answers again.
  wake() {
    this.#followed?.wake();
  }

  draw({ nowMs, beganMs }) {
    if (this.#followed === null) return;
    const { id, products, stalledSince } = this.#followed;
    this.#last = this.#processes.get(id) ?? this.#last;
    this.#followed.refresh(Date.now());
    this.#detail.show(this.#last, {
      changes: this.#history.of(id),
      watchedSinceMs: beganMs,
      speed: this.#history.speed(id, Date.now()),
      changedMs: this.#history.changedMs(id),
      nowMs,
      products,
      stalledSince,
      notice: this.#followed.isGone ? "This process is no longer there." : this.#followed.failure,
    });
    this.#setBehind();
  }

  // While the panel covers the page, the focus cannot go to elements behind it.
  #setBehind() {
    const isHidden = covers.matches && this.#followed !== null;
    for (const part of document.querySelectorAll("[data-behind]")) part.inert = isHidden;
  }
}
