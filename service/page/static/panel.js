// Which process the panel shows: opens, feeds and closes it, and moves the focus there and back.

import { byId } from "./dom.js";
import { Detail } from "./detail.js";
import { Followed } from "./followed.js";
import { differs } from "./processes.js";

const covers = matchMedia("(max-width: 60rem)"); // as in the style sheet: the panel lies over everything else

export class Panel {
  #api;
  #processes;
  #history;
  #detail;
  #close;
  #followed = null;
  #last = undefined; // what was last known of it, should it be deleted

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

  // Show this process, or none where `id` is empty. `changed()` is called when there is more to draw.
  turnTo(id, changed) {
    this.#followed?.end();
    this.#followed = id ? new Followed(this.#api, id, (process) => this.#take(process)) : null;
    this.#last = undefined;
    if (id) this.#detail.open(id);
    else this.#detail.close();
    byId("board").classList.toggle("split", Boolean(id));
    this.#followed?.addEventListener("answer", changed);
    this.#setBehind();
  }

  focus() {
    this.#detail.focus();
  }

  // `isApart(id)`: whether no change of it will come by the stream of the model.
  draw({ nowMs, beganMs, isApart }) {
    if (this.#followed === null) return;
    const id = this.#followed.id;
    const process = this.#processes.get(id);
    this.#last = process ?? this.#last;
    this.#followed.refresh(process, Date.now());
    if (process !== undefined && isApart(id)) this.#followed.followApart();
    this.#detail.show(this.#last, {
      changes: this.#history.of(id),
      watchedSinceMs: beganMs,
      speed: this.#history.speed(id, Date.now()),
      changedMs: this.#history.changedMs(id),
      nowMs,
      products: this.#followed.products,
      notice: this.#notice(process),
    });
    this.#setBehind();
  }

  #take(process) {
    const was = this.#processes.get(process.process_id);
    this.#processes.add([process]);
    const is = this.#processes.get(process.process_id);
    const isNews = was !== undefined && is === process && differs(was, is);
    if (isNews) this.#history.add(was, is, Date.now());
  }

  #notice(process) {
    if (process === undefined && this.#last !== undefined) return "This process is no longer there.";
    return this.#followed.failure;
  }

  // What lies under the panel can't be reached while it can't be seen.
  #setBehind() {
    const isHidden = covers.matches && this.#followed !== null;
    for (const part of document.querySelectorAll("[data-behind]")) part.inert = isHidden;
  }
}
