// The composition root: joins the parts, and draws their data at most a few times per second.

import { Api, NeedsKey } from "./api.js";
import { Backoff } from "./backoff.js";
import { judge, showAge, showStatus } from "./connection_status.js";
import { bindControls, offerFilters, showControls } from "./controls.js";
import { Counters } from "./counters.js";
import { byId } from "./dom.js";
import { showEmpty } from "./empty.js";
import { Filters } from "./filters.js";
import { showFoot } from "./foot.js";
import { count, milliseconds } from "./format.js";
import { History } from "./history.js";
import { Insights } from "./insights.js";
import { askForKeys } from "./key_dialog.js";
import { listenToKeys } from "./keyboard.js";
import { List } from "./list.js";
import { changedAtMs, durationMs, sorted, STALLED_FIRST } from "./order.js";
import { Panel } from "./panel.js";
import { Processes } from "./processes.js";
import { Readiness } from "./readiness.js";
import { schema } from "./schema.js";
import { Statistics } from "./statistics.js";
import { isOpen } from "./status.js";
import { Table } from "./table.js";

const DRAW_INTERVAL_MS = 150;

const beganMs = Date.now();
const api = new Api();
const filters = new Filters();
const seen = new History();
const processes = new Processes(seen);
const readiness = new Readiness(api);
const statistics = new Statistics(api, filters);
const list = new List(api, { processes, statistics, filters });
const panel = new Panel(api, processes, seen, close);
const table = new Table({ open: (id) => filters.set({ process: id }), sort: (sort) => filters.set({ sort }, { replace: true }) });
const counters = new Counters((changes) => filters.set(changes));
const insights = new Insights();

let isDue = false;
let drawnAtMs = -Infinity;

function drawSoon() {
  if (isDue) return;
  isDue = true;
  setTimeout(draw, drawnAtMs + DRAW_INTERVAL_MS - performance.now());
}

function draw() {
  [isDue, drawnAtMs] = [false, performance.now()];
  if (document.hidden) return; // drawn when the tab is visible again
  const connection = judge(list.connection, readiness.present, Date.now());
  showStatus(connection);
  if (!schema.isLearnt) return;
  const nowMs = readiness.now();
  const rows = matching(nowMs);
  showAge(connection, rows.length > 0 ? list.asOfMs : null);
  if (statistics.present !== null) counters.show(statistics.present, filters);
  insights.show(statistics, nowMs);
  showControls(filters, statistics);
  table.showSort(filters.sort);
  table.show(rows, (process) => viewOf(process, nowMs));
  panel.draw({ nowMs, beganMs });
  const failure = failureOf(list.connection.error);
  showEmpty(rows.length === 0 && failure === "", { hasAnswered: list.hasAnswered, isSearch: filters.search !== "", areFiltersSet: filters.areSet, loaded: list.rows.length });
  showFoot({ list, statistics, filters, shown: rows.length, failure });
  document.title = `${connection[0] === "live" ? "" : "⚠ "}${titleOf(statistics)} · Process status`;
}

// The rows to show, in their order.
function matching(nowMs) {
  const all = filters.sort === STALLED_FIRST ? list.stalledFirst : list.rows;
  const found = all.filter((process) => filters.isFound(process));
  return sorted(found, filters.sort, (process, column) => sortedBy[column](process, nowMs));
}

// The values for sorting the rows, for each column with a sort: milliseconds, or NaN.
const sortedBy = {
  started: (process) => milliseconds(schema.value(process, "started")),
  duration: durationMs,
  changed: (process) => changedAtMs(process, seen.changedMs(process.process_id)),
};

function viewOf(process, nowMs) {
  const id = process.process_id;
  return {
    link: filters.link({ process: id }),
    isSelected: id === filters.process,
    isLive: list.isLive(id),
    isStalled: list.isStalled(id),
    speed: isOpen(process) ? seen.speed(id, Date.now()) : null,
    changedMs: seen.changedMs(id),
    nowMs,
  };
}

function titleOf({ present, unfinished }) {
  if (present === null) return "…";
  return `${present.stalled ? `${count(present.stalled)} stalled, ` : ""}${count(unfinished)} under way`;
}

// The failure in words; "" if there are rows, because then the connection status says why they are old.
function failureOf(error) {
  if (error === null || error instanceof NeedsKey || list.rows.length > 0) return "";
  return `The list could not be loaded: ${error.message}`;
}

let asked = "";

function turn() {
  const wanted = JSON.stringify([filters.parameters, filters.stalled]);
  if (asked !== wanted) {
    asked = wanted;
    list.restart();
    statistics.restart();
  }
  const before = panel.id;
  if (filters.process !== before) {
    panel.turnTo(filters.process, drawSoon);
    draw();
    if (filters.process) panel.focus();
    else table.focus(before);
  } else drawSoon();
}

function close() {
  filters.set({ process: "" });
}

function enter(text) {
  const found = list.rows.filter((process) => filters.isFound(process));
  const only = found.length === 1 && processes.get(text) === undefined ? found[0].process_id : text;
  filters.set({ process: only });
}

askForKeys(api);
bindControls(filters, { enter, down: () => table.focusFirst() });
listenToKeys({ close });
for (const part of [list, statistics, readiness]) part.addEventListener("change", drawSoon);
let wasTrusted = null;
readiness.addEventListener("change", () => {
  const isTrusted = readiness.present?.model_trusted ?? null;
  if (isTrusted !== null && isTrusted !== wasTrusted) for (const part of [list, statistics, panel]) part.wake();
  wasTrusted = isTrusted;
});
document.addEventListener("visibilitychange", drawSoon);
byId("more").addEventListener("click", () => {
  if (list.connection.error === null) list.more(filters.search !== "");
  else list.wake();
  drawSoon();
});
setInterval(drawSoon, 1000);

// The description of the answers, loaded before any data. Requested again until there is an answer.
async function learn() {
  const backoff = new Backoff();
  for (;;) {
    try {
      return schema.learn(await (await api.get("ui/schema.json")).json());
    } catch (error) {
      await new Promise((resolve) => {
        if (error instanceof NeedsKey) api.addEventListener("key", resolve, { once: true });
        else setTimeout(resolve, backoff.next());
      });
    }
  }
}

readiness.start();
await learn();
offerFilters(filters);
table.head();
panel.begin();
insights.begin();
filters.addEventListener("change", turn);
turn();
list.start();
statistics.start();
