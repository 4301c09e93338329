// The panel: one process in full, kept current in place.

import { Bar } from "./bar.js";
import { byId, el, setAttribute, setText } from "./dom.js";
import { ago, count, duration, milliseconds, moment, rate, UNKNOWN } from "./format.js";
import { productsTable } from "./products.js";
import { sourceFile } from "./source_file.js";
import { isOpen, kindOf } from "./status.js";
import { timeline } from "./timeline.js";

const FACTS = ["Started", "Ended", "Took", "Last change", "Processed", "Failed", "Speed"];

const section = (title, ...children) => el("section", {}, el("h3", { text: title }), ...children);

export class Detail {
  #panel = byId("detail");
  #badge = el("span", { class: "badge" });
  #title = el("h2", { id: "detail-id", tabindex: "-1" });
  #notice = el("p", { class: "notice", role: "status" });
  #bar = new Bar();
  #facts = new Map(FACTS.map((name) => [name, el("dd", { text: UNKNOWN })]));
  #file = el("dd");
  #products = el("div");
  #line = el("div");
  #shown = {};

  constructor(close) {
    const button = el("button", { class: "icon-button", type: "button", "aria-label": "Close", text: "✕" });
    button.addEventListener("click", close);
    const facts = [...this.#facts].flatMap(([name, value]) => [el("dt", { text: name }), value]);
    this.#panel.append(
      el("div", { class: "head" }, this.#badge, this.#title, button),
      this.#notice,
      this.#bar.element,
      el("dl", {}, ...facts, el("dt", { text: "Source file" }), this.#file),
      section("Products", this.#products),
      section("Changes seen", this.#line),
    );
  }

  open(id) {
    this.#shown = {};
    setText(this.#title, id);
    this.#panel.hidden = false;
    this.#panel.classList.add("blank");
    this.#panel.scrollTop = 0;
  }

  close() {
    this.#panel.hidden = true;
  }

  focus() {
    this.#title.focus();
  }

  // `process` undefined while nothing is known; `view`: {changes, watchedSinceMs, speed, nowMs, products, notice}.
  show(process, view) {
    setText(this.#notice, view.notice);
    this.#notice.hidden = view.notice === "";
    if (process !== undefined) this.#showProcess(process, view);
    this.#once("products", view.products, (products) => this.#products.replaceChildren(...(products ? [productsTable(products)] : [])));
    this.#once("changes", view.changes, (changes) => this.#line.replaceChildren(timeline(changes, view.watchedSinceMs)));
  }

  #showProcess(process, { speed, nowMs }) {
    this.#panel.classList.remove("blank");
    this.#badge.dataset.kind = kindOf(process.status);
    setText(this.#badge, process.status ?? "no status");
    this.#bar.show(process, speed);
    const end = process.end_time === null && isOpen(process) ? nowMs : milliseconds(process.end_time);
    this.#fact("Started", moment(process.start_time, nowMs), process.start_time);
    this.#fact("Ended", moment(process.end_time, nowMs), process.end_time);
    this.#fact("Took", duration(end - milliseconds(process.start_time)));
    this.#fact("Last change", ago(process.last_updated, nowMs), process.last_updated);
    this.#fact("Processed", count(process.products_processed));
    this.#fact("Failed", count(process.products_failed));
    this.#fact("Speed", speed === null || !isOpen(process) ? UNKNOWN : rate(speed));
    this.#once("file", process.csv_url ?? null, (address) => this.#file.replaceChildren(sourceFile(address)));
  }

  #fact(name, text, title) {
    setText(this.#facts.get(name), text);
    if (title) setAttribute(this.#facts.get(name), "title", title);
  }

  // Build a part anew only where its content is another: what is being read or scrolled stays.
  #once(name, content, build) {
    if (name in this.#shown && this.#shown[name] === content) return;
    this.#shown[name] = content;
    build(content);
  }
}
