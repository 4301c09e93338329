// The composition root: joins the parts, and draws what they know a few times a second at most.

import { Activity } from "./activity.js";
import { Api, NeedsKey } from "./api.js";
import { bindControls, offerFilters, showControls } from "./controls.js";
import { Counters, tally } from "./counters.js";
import { byId, setText } from "./dom.js";
import { Filters } from "./filters.js";
import { count } from "./format.js";
import { History } from "./history.js";
import { askForKeys } from "./key_dialog.js";
import { listenToKeys } from "./keyboard.js";
import { judge, showStatus } from "./connection_status.js";
import { ModelStream } from "./model_stream.js";
import { Pages } from "./pages.js";
import { Panel } from "./panel.js";
import { Processes } from "./processes.js";
import { Readiness } from "./readiness.js";
import { schema } from "./schema.js";
import { isOpen } from "./status.js";
import { Table } from "./table.js";

const DRAW_INTERVAL_MS = 150;

const beganMs = Date.now();
const api = new Api();
const filters = new Filters();
const processes = new Processes();
const seen = new History();
const activity = new Activity();
const pages = new Pages(api, processes);
const readiness = new Readiness(api);
const stream = new ModelStream(api, processes, seen, activity);
const panel = new Panel(api, processes, seen, close);
const table = new Table((id) => filters.set({ process: id }));
const counters = new Counters((status) => filters.set({ status }));

let isDue = false;
let failure = "";
let hasListed = false;

function drawSoon() {
  if (isDue) return;
  isDue = true;
  setTimeout(draw, DRAW_INTERVAL_MS);
}

function draw() {
  isDue = false;
  if (document.hidden) return; // drawn when it is looked at again
  const connection = judge(stream, readiness.present, Date.now());
  showStatus(connection);
  if (!schema.isLearnt) return;
  const nowMs = readiness.now();
  const known = processes.inOrder();
  const counted = known.filter((process) => filters.matchesButForStatus(process, isListed));
  const matching = filters.status ? counted.filter((process) => filters.matches(process, isListed)) : counted;
  counters.show(tally(counted), filters.status);
  showControls(filters);
  table.show(matching.slice(0, pages.shown), (process) => viewOf(process, nowMs));
  panel.draw({ nowMs, beganMs, isApart: (id) => hasWholeModel() && !processes.isFollowed(id) });
  showFoot(matching.length, known.length);
  document.title = `${connection[0] === "live" ? "" : "⚠ "}${count(known.filter(isOpen).length)} under way · Process status`;
}

const hasWholeModel = () => stream.hasPresentState || readiness.present?.documents === 0;

const isListed = (id) => pages.has(id);

function viewOf(process, nowMs) {
  const id = process.process_id;
  return {
    link: filters.link({ process: id }),
    isSelected: id === filters.process,
    isFollowed: processes.isFollowed(id) || !hasWholeModel(),
    isNew: seen.isNew(id, Date.now()),
    speed: isOpen(process) ? seen.speed(id, Date.now()) : null,
    changedMs: seen.changedMs(id),
    nowMs,
  };
}

function showFoot(matching, known) {
  const hasMore = matching > pages.shown || (pages.hasMore && !filters.search);
  byId("more").hidden = !hasMore && !failure;
  setText(byId("more"), failure ? "Try again" : "Load more");
  byId("notice").hidden = !failure;
  setText(byId("notice"), failure);
  byId("empty").hidden = matching > 0 || Boolean(failure);
  setText(byId("empty"), !hasListed ? "Loading …" : filters.search ? "None of those known here. Enter asks for exactly this ID." : "No process matches.");
  setText(byId("found"), `${count(Math.min(matching, pages.shown))} of ${count(matching)} shown${filters.areSet ? `, ${count(known)} known` : ""}`);
}

// Do what asks for a page, and say where that fails.
async function load(ask) {
  failure = "";
  try {
    if (await ask()) hasListed = true;
  } catch (error) {
    if (error instanceof NeedsKey) api.addEventListener("key", () => load(ask), { once: true });
    else failure = `The list could not be loaded: ${error.message}`;
  }
  drawSoon();
}

let asked = {};

function turn() {
  const { status, from, to, own, process } = filters;
  const wanted = { status, from, to, own };
  if (JSON.stringify(asked) !== JSON.stringify(wanted)) {
    asked = wanted;
    load(() => pages.restart(asked));
  }
  const before = panel.id;
  if (process !== before) {
    panel.turnTo(process, drawSoon);
    draw();
    if (process) panel.focus();
    else table.focus(before);
  }
  drawSoon();
}

function close() {
  filters.set({ process: "" });
}

function enter(text) {
  const matching = processes.inOrder().filter((process) => filters.matches(process, isListed));
  const only = matching.length === 1 && processes.get(text) === undefined ? matching[0].process_id : text;
  filters.set({ process: only });
}

askForKeys(api);
bindControls(filters, { enter, down: () => table.focusFirst() });
listenToKeys({ close });
stream.addEventListener("change", drawSoon);
stream.addEventListener("forgotten", () => load(() => pages.restart(asked)));
readiness.addEventListener("change", () => {
  if (readiness.present?.model_trusted) stream.wake();
  drawSoon();
});
document.addEventListener("visibilitychange", drawSoon);
byId("more").addEventListener("click", () => load(failure ? () => pages.restart(asked) : () => pages.more()));
let arrivals = 0;
setInterval(() => {
  activity.tick();
  if (filters.needLists && arrivals !== processes.arrivals) load(() => pages.refresh());
  arrivals = processes.arrivals;
  drawSoon();
}, 1000);

// What the answers are like, before the first of them is drawn. Asked again for as long as there is no answer.
async function learn() {
  for (let waitMs = 1000; ; waitMs = Math.min(waitMs * 2, 15_000)) {
    try {
      return schema.learn(await (await api.get("ui/schema.json")).json());
    } catch (error) {
      await new Promise((resolve) => {
        if (error instanceof NeedsKey) api.addEventListener("key", resolve, { once: true });
        else setTimeout(resolve, waitMs);
      });
    }
  }
}

await readiness.start();
await learn();
offerFilters(filters);
table.head();
panel.begin();
filters.addEventListener("change", turn);
turn();
stream.start();
