// The pulse: how many changes came in each of the last seconds, as a line of bars.

import { byId, setText } from "./dom.js";
import { count } from "./format.js";

const SECONDS = 60;
const RATE_OVER = 10;
const [WIDTH, HEIGHT] = [180, 30];

export class Activity {
  #perSecond = new Array(SECONDS).fill(0);
  #present = 0;

  changed() {
    this.#present += 1;
  }

  // Once a second.
  tick() {
    this.#perSecond.push(this.#present);
    this.#perSecond.shift();
    this.#present = 0;
    const highest = Math.max(4, ...this.#perSecond);
    const step = WIDTH / SECONDS;
    const bars = this.#perSecond.map((changes, at) => {
      const height = Math.max(1, (changes / highest) * HEIGHT);
      return `M${at * step} ${HEIGHT}v${-height}h${step * 0.6}v${height}z`;
    });
    byId("activity").firstElementChild.setAttribute("d", bars.join(""));
    const latest = this.#perSecond.slice(-RATE_OVER);
    setText(byId("activity-rate"), count(Math.round(latest.reduce((sum, changes) => sum + changes, 0) / RATE_OVER)));
  }
}
