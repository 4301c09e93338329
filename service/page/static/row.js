// One process as a row that is written to in place for as long as it is shown.

import { Bar } from "./bar.js";
import { el, glow, pulse, setAttribute, setText } from "./dom.js";
import { ago, moment } from "./format.js";
import { kindOf } from "./status.js";

const cell = (className, ...children) => el("td", { class: className, role: "cell" }, ...children);

export class Row {
  #badge = el("span", { class: "badge" });
  #link = el("a");
  #bar = new Bar();
  #started = el("time");
  #changed = el("time");
  #pulse = el("span", { class: "pulse" });
  #process = null;
  #speed = null;
  element = el(
    "tr",
    { role: "row" },
    cell("state", this.#badge),
    el("th", { class: "id", scope: "row", role: "rowheader" }, this.#link),
    cell("progress", this.#bar.element),
    cell("started", this.#started),
    cell("changed", this.#changed, this.#pulse),
  );

  // `view`: {link, isSelected, isFollowed, isNew, speed, nowMs}.
  show(process, view) {
    const before = this.#process;
    if (process !== before || view.speed !== this.#speed) this.#bar.show(process, view.speed);
    if (process !== before) this.#write(process);
    if (view.isNew && before === null) glow(this.element);
    if (before !== null && process !== before) {
      if (before.status === process.status) pulse(this.#pulse);
      else glow(this.element);
    }
    [this.#process, this.#speed] = [process, view.speed];
    setAttribute(this.#link, "href", view.link);
    if (view.isSelected) setAttribute(this.#link, "aria-current", "true");
    else this.#link.removeAttribute("aria-current");
    this.element.classList.toggle("selected", view.isSelected);
    this.element.classList.toggle("unfollowed", !view.isFollowed);
    setText(this.#started, moment(process.start_time, view.nowMs));
    setText(this.#changed, ago(process.last_updated, view.nowMs));
  }

  #write(process) {
    this.element.dataset.id = process.process_id;
    this.#badge.dataset.kind = kindOf(process.status);
    setText(this.#badge, process.status ?? "no status");
    setText(this.#link, process.process_id);
    setAttribute(this.#link, "title", process.process_id);
    setAttribute(this.#started, "datetime", process.start_time ?? "");
    setAttribute(this.#changed, "datetime", process.last_updated ?? "");
    setAttribute(this.#changed, "title", process.last_updated ?? "");
  }
}
