// A process's products as a table. They are maps of any shape: the columns are the keys that occur.

import { el } from "./dom.js";
import { count } from "./format.js";

const COLUMNS = 6;
const ROWS = 200;

const text = (value) => (value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value));

export function productsTable(products) {
  if (products.length === 0) return el("p", { class: "quiet", text: "None yet." });
  const columns = [...new Set(products.flatMap((product) => Object.keys(product)))].slice(0, COLUMNS);
  const head = el("tr", {}, ...columns.map((column) => el("th", { scope: "col", text: column })));
  const rows = products.slice(0, ROWS).map((product) =>
    el("tr", {}, ...columns.map((column) => el("td", { class: typeof product[column], text: text(product[column]) }))));
  const table = el("table", {}, el("thead", {}, head), el("tbody", {}, ...rows));
  const box = el("div", { class: "products", tabindex: "0", role: "region", "aria-label": "Products" }, table);
  if (products.length > ROWS) box.append(el("p", { class: "quiet", text: `${ROWS} of ${count(products.length)} shown` }));
  return box;
}
