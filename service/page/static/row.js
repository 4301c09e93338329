// One process as a row. Changes are written into the same elements.

import { Bar } from "./bar.js";
import { el, glow, setAttribute, setText } from "./dom.js";
import { ago, duration, moment, utc } from "./format.js";
import { changedAtMs, durationMs } from "./order.js";
import { schema, textOf } from "./schema.js";
import { kindOf, wordOf } from "./status.js";

const LONGEST_WHOLE = 20; // characters; longer IDs are shortened in the middle if there is no room
const TAIL = 8;

// All columns: each with its class, its heading, and the sort that its heading offers.
export function columns() {
  const shown = [{ name: "state", title: "Status" }, { name: "id", title: "Process" }];
  if (schema.hasProgress || schema.has("error")) shown.push({ name: "progress", title: schema.hasProgress ? "Progress" : "Error" });
  for (const key of schema.columns) shown.push({ name: "own", title: schema.labelOf(key.name), key });
  if (schema.has("started")) shown.push({ name: "started", title: "Started", sort: "started" }, { name: "took", title: "Duration", sort: "duration" });
  shown.push({ name: "changed", title: "Last change", sort: "changed" });
  return shown;
}

// The ID in two parts. The style sheet shortens the first, because IDs usually differ at their ends.
function pieces(id) {
  const characters = [...id];
  if (characters.length <= LONGEST_WHOLE) return [id, ""];
  return [characters.slice(0, -TAIL).join(""), characters.slice(-TAIL).join("")];
}

export class Row {
  #badge = el("span", { class: "badge" });
  #stalled = el("span", { class: "mark", text: "stalled", data: { kind: "stalled" } });
  #link = el("a");
  #bar = new Bar();
  #started = el("time");
  #took = el("span");
  #changed = el("time");
  #process = null;
  #speed = null;
  #own = new Map(schema.columns.map((key) => [key, el("span")]));
  element = el("tr", { role: "row" }, ...columns().map(({ name, key }) => this.#cell(name, this.#own.get(key))));

  #cell(name, own) {
    if (name === "id") return el("th", { class: "id", scope: "row", role: "rowheader" }, this.#link);
    const content = { state: [this.#badge, this.#stalled], progress: [this.#bar.element], own: [own], started: [this.#started], took: [this.#took], changed: [this.#changed] };
    return el("td", { class: name, role: "cell" }, ...content[name]);
  }

  get status() {
    return this.#process?.status;
  }

  // `view`: {link, isSelected, isLive, isStalled, mayGlow, speed, changedMs, nowMs}.
  show(process, view) {
    const before = this.#process;
    const speed = view.isStalled ? null : view.speed;
    if (process !== before || speed !== this.#speed) this.#bar.show(process, speed);
    if (process !== before) this.#write(process);
    if (view.mayGlow && before?.status !== process.status) glow(this.#badge);
    [this.#process, this.#speed] = [process, speed];
    setAttribute(this.#link, "href", view.link);
    if (view.isSelected) setAttribute(this.#link, "aria-current", "true");
    else this.#link.removeAttribute("aria-current");
    this.#stalled.hidden = !view.isStalled;
    const classes = { selected: view.isSelected, unfollowed: !view.isLive, stalled: view.isStalled, failed: kindOf(process.status) === "failed" };
    for (const [name, is] of Object.entries(classes)) this.element.classList.toggle(name, is);
    setText(this.#started, moment(schema.value(process, "started"), view.nowMs));
    setText(this.#took, duration(durationMs(process, view.nowMs)));
    setText(this.#changed, ago(changedAtMs(process, view.changedMs), view.nowMs));
    for (const [key, element] of this.#own) setText(element, textOf(key, process[key.name], view.nowMs));
  }

  #write(process) {
    this.#badge.dataset.kind = kindOf(process.status);
    setText(this.#badge, wordOf(process.status));
    setAttribute(this.#badge, "title", this.#badge.textContent);
    if (this.element.dataset.id !== process.process_id) this.#name(process.process_id);
    for (const [element, role] of [[this.#started, "started"], [this.#changed, "updated"]]) {
      setAttribute(element, "datetime", schema.value(process, role) ?? "");
      setAttribute(element, "title", utc(schema.value(process, role)));
    }
    for (const [key, element] of this.#own) if (key.type === "time") setAttribute(element, "title", utc(process[key.name]));
  }

  #name(id) {
    const [head, tail] = pieces(id);
    this.element.dataset.id = id;
    this.#link.replaceChildren(el("span", { class: "begin", text: head }), el("span", { text: tail }));
    for (const name of ["aria-label", "title"]) setAttribute(this.#link, name, id);
  }
}
