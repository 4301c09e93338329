// The rows in their order. Each process keeps its element; only the text in it changes.

import { byId, el, setAttribute } from "./dom.js";
import { columnOf, nextSort } from "./order.js";
import { columns, Row } from "./row.js";

const MOST_GLOWS = 4; // if more rows change at once, none glows

export class Table {
  #body = byId("rows");
  #rows = new Map();
  #sort;
  #sorted = "";

  // `open(id)`: the user chose a row. `sort(name)`: the user chose an order of the rows.
  constructor({ open, sort }) {
    this.#sort = sort;
    this.#body.addEventListener("click", (event) => {
      const row = event.target.closest("tr");
      if (row && !event.target.closest("a") && getSelection().isCollapsed) open(row.dataset.id);
    });
    this.#body.addEventListener("keydown", (event) => this.#move(event));
  }

  // Write the headings, once the columns are known.
  head() {
    const heading = ({ name, title, sort }) => {
      const content = sort === undefined ? title : el("button", { type: "button", text: title, data: { sort } });
      return el("th", { class: `of-${name}`, role: "columnheader", scope: "col" }, content);
    };
    byId("head").replaceChildren(...columns().map(heading));
    byId("head").addEventListener("click", ({ target }) => {
      if (target.dataset.sort) this.#sort(nextSort(target.dataset.sort, this.#sorted));
    });
  }

  // Mark the heading of the column that the rows are sorted by.
  showSort(sort) {
    this.#sorted = sort;
    for (const button of byId("head").querySelectorAll("button")) {
      if (button.dataset.sort === columnOf(sort)) setAttribute(button.parentElement, "aria-sort", sort.startsWith("-") ? "descending" : "ascending");
      else button.parentElement.removeAttribute("aria-sort");
    }
  }

  // `viewOf(process)`: see Row.show.
  show(processes, viewOf) {
    const turned = processes.filter((process) => this.#rows.get(process.process_id)?.status !== process.status);
    const mayGlow = turned.length <= MOST_GLOWS;
    const gone = new Set(this.#rows.keys());
    let place = this.#body.firstElementChild;
    for (const process of processes) {
      const row = this.#row(process.process_id);
      gone.delete(process.process_id);
      row.show(process, { ...viewOf(process), mayGlow });
      if (row.element === place) place = place.nextElementSibling;
      else this.#body.insertBefore(row.element, place);
    }
    for (const id of gone) {
      this.#rows.get(id).element.remove();
      this.#rows.delete(id);
    }
  }

  // Move the focus to the row of a process, if there is one.
  focus(id) {
    this.#rows.get(id)?.element.querySelector("a").focus();
  }

  focusFirst() {
    this.#body.querySelector("a")?.focus();
  }

  #row(id) {
    let row = this.#rows.get(id);
    if (row === undefined) this.#rows.set(id, (row = new Row()));
    return row;
  }

  #move(event) {
    const links = [...this.#body.querySelectorAll("a")];
    const at = links.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: links.length - 1 }[event.key];
    if (at < 0 || to === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    links[Math.min(Math.max(to, 0), links.length - 1)].focus();
  }
}
