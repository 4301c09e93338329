// The last hours: how many processes ended and failed, how long they took, and when the oldest unfinished one began. A chart
// shows the processes that ended in each minute, with failures below its line.

import { byId, el, setText } from "./dom.js";
import { ago, count, duration, milliseconds, minuteOfDay, percent, UNKNOWN, utc } from "./format.js";
import { MINUTES } from "./statistics.js";
import { kindOf } from "./status.js";

const MINUTE_MS = 60_000;
const [WIDTH, UP, DOWN] = [720, 44, 20]; // of the chart; a minute is 4 units wide
const LEAST_SCALE = 4; // so that a single process does not fill the height of the chart
const MARK_EACH_MS = 30 * MINUTE_MS;

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

const isFailure = (status) => kindOf(status) === "failed";

export class Insights {
  #facts = new Map(["Ended in the last hour", "Failed in the last hour", "Median duration", "Oldest unfinished"].map((name) => [name, el("dd", { text: UNKNOWN })]));
  #minutes = [];
  #drawn = null;

  // The answers' keys are known now.
  begin() {
    byId("facts").replaceChildren(...[...this.#facts].map(([name, value]) => el("div", {}, el("dt", { text: name }), value)));
    byId("chart").addEventListener("pointermove", (event) => this.#point(event));
    byId("chart").addEventListener("pointerleave", () => setText(byId("chart-minute"), ""));
  }

  // `present` and `byMinute`: see Statistics.
  show({ present, byMinute }, nowMs) {
    if (present !== null) this.#showFacts(present, nowMs);
    if (byMinute === null || byMinute === this.#drawn) return;
    this.#drawn = byMinute;
    this.#minutes = minutesOf(byMinute);
    this.#draw();
  }

  #showFacts(present, nowMs) {
    const lately = Object.entries(present.finished["3600"]);
    const [all, failed] = [sum(lately.map(([, n]) => n)), sum(lately.filter(([status]) => isFailure(status)).map(([, n]) => n))];
    const texts = [count(all), failed === 0 ? "0" : `${count(failed)} (${percent(failed / all)})`, medianOf(present), ago(milliseconds(present.oldest_unfinished), nowMs)];
    [...this.#facts.values()].forEach((element, at) => setText(element, texts[at]));
    this.#facts.get("Failed in the last hour").classList.toggle("bad", failed > 0);
    this.#facts.get("Oldest unfinished").title = utc(present.oldest_unfinished);
  }

  #draw() {
    const scale = { up: Math.max(LEAST_SCALE, ...this.#minutes.map(({ well }) => well)), down: Math.max(LEAST_SCALE, ...this.#minutes.map(({ failed }) => failed)) };
    const step = WIDTH / MINUTES;
    const bar = (at, height, sign) => `M${(at * step).toFixed(2)} ${UP}v${(-sign * height).toFixed(2)}h${(step * 0.75).toFixed(2)}V${UP}z`;
    const bars = (name, height, most, sign) => this.#minutes.map((minute, at) => (minute[name] === 0 ? "" : bar(at, Math.max(2, (minute[name] / most) * height), sign))).join("");
    byId("chart-well").setAttribute("d", bars("well", UP, scale.up, 1));
    byId("chart-failed").setAttribute("d", bars("failed", DOWN, scale.down, -1));
    this.#mark(step);
    const totals = ["well", "failed"].map((name) => count(sum(this.#minutes.map((minute) => minute[name]))));
    byId("chart").setAttribute("aria-label", `Per minute, the last ${MINUTES / 60} hours: ${totals[0]} finished, ${totals[1]} failed`);
    setText(byId("chart-most"), `highest: ${count(Math.max(0, ...this.#minutes.map(({ well, failed }) => well + failed)))} a minute`);
  }

  // The times below the chart, every half hour.
  #mark(step) {
    const marks = this.#minutes.flatMap(({ atMs }, at) => {
      const local = atMs - new Date(atMs).getTimezoneOffset() * MINUTE_MS;
      if (local % MARK_EACH_MS !== 0 || at * step > WIDTH * 0.96) return [];
      const mark = el("span", { text: minuteOfDay(atMs) });
      mark.style.insetInlineStart = `${(100 * at * step) / WIDTH}%`;
      return [mark];
    });
    byId("chart-times").replaceChildren(...marks);
  }

  #point({ offsetX }) {
    const minute = this.#minutes[Math.floor((offsetX / byId("chart").clientWidth) * this.#minutes.length)];
    if (minute !== undefined) setText(byId("chart-minute"), `${minuteOfDay(minute.atMs)}: ${count(minute.well)} finished, ${count(minute.failed)} failed`);
  }
}

// [{atMs, well, failed}], the oldest first.
function minutesOf({ from, counts }) {
  const beganMs = milliseconds(from);
  return Array.from({ length: MINUTES }, (_, at) => {
    const minute = { atMs: beganMs + at * MINUTE_MS, well: 0, failed: 0 };
    for (const [status, each] of Object.entries(counts)) minute[isFailure(status) ? "failed" : "well"] += each[at];
    return minute;
  });
}

// The median duration of processes that ended well, for the status that most of them have.
function medianOf({ duration_s: durations, by_status: byStatus }) {
  const well = Object.keys(durations).filter((status) => kindOf(status) === "completed");
  const [most] = well.sort((a, b) => (byStatus[b] ?? 0) - (byStatus[a] ?? 0));
  return most === undefined ? UNKNOWN : duration(durations[most].p50 * 1000);
}
