// The line below the rows: how many rows there are, of how many, in which order; and a button to load more.

import { byId, setText } from "./dom.js";
import { count } from "./format.js";
import { STALLED_FIRST, wordsOfSort } from "./order.js";

// `shown`: the number of rows in the table; `failure`: why there are none, or "".
export function showFoot({ list, statistics, filters, shown, failure }) {
  const loaded = list.rows.length;
  byId("more").hidden = !list.hasMore && failure === "";
  setText(byId("more"), failure ? "Try again" : filters.search ? "Search in the newest 1,000" : "Load more");
  byId("notice").hidden = failure === "";
  setText(byId("notice"), failure);
  const parts = [howMany({ list, statistics, filters, shown, loaded }), orderOf(filters.sort, loaded)];
  if (list.isCut) parts.push("more than the page can hold: filter by status or day to see others");
  setText(byId("found"), parts.filter(Boolean).join(" · "));
}

function howMany({ list, statistics, filters, shown, loaded }) {
  if (filters.search) return `${count(shown)} of ${count(loaded)} loaded rows match`;
  const all = matching(statistics, filters);
  if (all === null) return `${count(shown)} shown${list.hasMore ? ", there are more" : ""}`;
  return `${count(shown)} of ${count(Math.max(all, shown))} shown`;
}

// The number of processes that match the filters; null if the statistics do not say.
function matching(statistics, filters) {
  if (filters.stalled) return filters.status ? null : (statistics.present?.stalled ?? null);
  return statistics.isWhole ? statistics.count(filters.status) : null;
}

function orderOf(sort, loaded) {
  if (sort === STALLED_FIRST) return "of all, those that stall first, then the newest";
  const words = wordsOfSort(sort);
  return words === "" ? "of all, the newest first" : `the ${count(loaded)} loaded rows by ${words}`;
}
