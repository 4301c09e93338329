// The rows: GET /status with the present filters and as many rows as the page shows, once per second.
//
// A list from the model costs no read, so it can be requested that often. If the window does not contain the whole
// collection, rows outside of it are read once and do not change. The other rows are kept current by lists with `stalled`,
// which only the model answers.

import { byOrder, precedes } from "./order.js";
import { Poll } from "./poll.js";
import { schema } from "./schema.js";
import { isOpen } from "./status.js";

const PAGE = 50;
const MOST = 1000; // the API's longest list
const INTERVAL_MS = 1000;
const ROWS_EACH_INTERVAL = 250; // with more rows, the list is requested less often
const LONGEST_PAUSE_MS = 30_000;
const FREE = new Set(["HIT", "STALE"]);

export class List extends EventTarget {
  #processes;
  #statistics;
  #filters;
  #poll;
  #stalledPoll;
  #live = new Set(); // the IDs in the last answer of #poll
  #stalled = new Set();
  #rows = [];
  #isRead = false; // whether a list without `stalled` has been answered since the filters changed
  #hasMore = false;
  #costly = 0; // how many answers in a row Firestore had to give
  shown = PAGE;
  source = null;
  asOfMs = null;

  constructor(api, { processes, statistics, filters }) {
    super();
    [this.#processes, this.#statistics, this.#filters] = [processes, statistics, filters];
    this.#poll = new Poll(api, () => this.#question(), (answer) => this.#take(answer));
    this.#stalledPoll = new Poll(api, () => this.#stalledQuestion(), (answer) => this.#takeStalled(answer));
    for (const poll of [this.#poll, this.#stalledPoll]) poll.addEventListener("change", () => this.dispatchEvent(new Event("change")));
    statistics.addEventListener("change", () => this.#counted());
  }

  start() {
    this.#poll.start();
    this.#stalledPoll.start();
  }

  // The filters have changed.
  restart() {
    [this.shown, this.#rows, this.#live, this.#stalled] = [PAGE, [], new Set(), new Set()];
    this.#ask();
  }

  more(most = false) {
    this.shown = most ? MOST : Math.min(this.shown + PAGE, MOST);
    this.#ask();
  }

  // The service or its model works again.
  wake() {
    this.#poll.wake();
    this.#stalledPoll.wake();
  }

  // The state of the connection, see Poll.
  get connection() {
    return this.#poll;
  }

  get hasAnswered() {
    return this.#isRead;
  }

  // Whether there are more rows that can be loaded.
  get hasMore() {
    return this.#hasMore && this.shown < MOST;
  }

  // Whether there are more rows than the page can show.
  get isCut() {
    return this.#hasMore && this.shown >= MOST;
  }

  get rows() {
    return this.#processes.all(this.#rows);
  }

  // Stalled processes first: all of them, not only those among the rows.
  get stalledFirst() {
    return [...this.#processes.all(this.#stalled), ...this.rows.filter((process) => !this.#stalled.has(process.process_id))];
  }

  isStalled(id) {
    return this.#stalled.has(id);
  }

  // Whether the row is updated automatically.
  isLive(id) {
    return this.#statistics.isWhole || this.#live.has(id) || this.#stalled.has(id);
  }

  #ask() {
    [this.#isRead, this.#costly] = [false, 0];
    this.#poll.restart();
    this.#stalledPoll.restart();
  }

  #path(further) {
    const query = new URLSearchParams({ ...this.#filters.parameters, ...further, limit: this.shown });
    return `status?${query}`;
  }

  get #isOfModel() {
    return this.#isRead && !this.#statistics.isWhole && !this.#filters.stalled;
  }

  #question() {
    if (this.#filters.stalled) return this.#path({ stalled: true });
    return this.#path(this.#isOfModel ? { stalled: false } : {});
  }

  #stalledQuestion() {
    return this.#statistics.present?.stalled && !this.#filters.stalled ? this.#path({ stalled: true }) : null;
  }

  // Statistics say whether any process stalls, and whether the window has the whole collection.
  #counted() {
    if (this.#statistics.present?.stalled === 0) this.#stalled.clear();
    else this.#stalledPoll.wake();
  }

  #take({ body, askedAtMs, source, ageMs }) {
    const wasOfModel = this.#isOfModel;
    [this.source, this.asOfMs] = [source, Date.now() - ageMs];
    if (body !== null) this.#takeRows(body, askedAtMs, wasOfModel);
    if (!wasOfModel) this.#isRead = true;
    if (FREE.has(source)) this.#costly = 0;
    else this.#costly += 1;
    const steps = Math.ceil(this.shown / ROWS_EACH_INTERVAL);
    return this.#costly === 0 || this.#isOfModel ? INTERVAL_MS * steps : Math.min(INTERVAL_MS * 2 ** this.#costly, LONGEST_PAUSE_MS);
  }

  // Store the rows of an answer. Returns their IDs.
  #learn({ processes: listed }, askedAtMs, isNew = () => false) {
    const processes = listed.map((process) => schema.named(process));
    for (const process of processes) this.#processes.learn(process, askedAtMs, isNew(process));
    return new Set(processes.map((process) => process.process_id));
  }

  #takeRows(body, askedAtMs, isOfModel) {
    const ids = this.#learn(body, askedAtMs, this.#newness());
    if (isOfModel) this.#join(ids, this.#stalled);
    else [this.#rows, this.#live, this.#hasMore] = [[...ids], ids, body.next_page_token !== null];
    if (this.#filters.stalled) this.#stalled = ids;
    this.#processes.keepOnly([...this.#rows, ...this.#stalled, this.#filters.process]);
  }

  // In a list of all processes, rows above the last known row did not exist before.
  #newness() {
    if (!this.#isRead || this.#filters.status || this.#filters.stalled) return () => false;
    const last = this.#processes.get(this.#rows.at(-1));
    const before = new Set(this.#rows);
    return (process) => !before.has(process.process_id) && (last === undefined || precedes(process, last));
  }

  // If the window does not have the whole collection: the rows of the model, and below them the older rows that were read
  // once. If the model no longer lists a row, it has left the window, or it has ended and the filter excludes ended ones.
  #join(live, stalled) {
    const was = new Set([...this.#live, ...this.#stalled]);
    const held = new Set([...live, ...stalled]);
    const rows = this.#processes.all(held).sort(byOrder);
    const last = rows.at(-1);
    const hasLeft = (process) => this.#filters.status !== "" && was.has(process.process_id) && isOpen(process);
    for (const process of this.rows) {
      if (!held.has(process.process_id) && (last === undefined || precedes(last, process)) && !hasLeft(process)) rows.push(process);
    }
    if (rows.length > this.shown) this.#hasMore = true;
    this.#rows = rows.slice(0, this.shown).map((process) => process.process_id);
    [this.#live, this.#stalled] = [live, stalled];
  }

  #takeStalled({ body, askedAtMs }) {
    if (body === null) return Infinity;
    const stalled = this.#learn(body, askedAtMs);
    if (this.#isOfModel) this.#join(this.#live, stalled);
    else this.#stalled = stalled;
    return Infinity; // until the next statistics
  }
}
