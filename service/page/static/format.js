// Values as text. Times are local; `utc` gives a time in the form of the logs. Pure, except for the time zone.

const number = new Intl.NumberFormat("en");
const decimal = new Intl.NumberFormat("en", { maximumSignificantDigits: 2 });
const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const minutes = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const fullDay = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const inUtc = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium", timeZone: "UTC" });

export const UNKNOWN = "–";

export const count = (value) => (value === null || value === undefined ? UNKNOWN : number.format(value));

export const percent = (share) => `${Math.round(share * 100)} %`;

const CAPITALS = new Set(["api", "csv", "html", "id", "ip", "json", "pdf", "sku", "uid", "uri", "url", "xml"]);

// A key as words: "csv_url" is "CSV URL", "startedBy" is "Started by".
export function label(key) {
  const words = key.replaceAll(/([a-z0-9])([A-Z])/g, "$1 $2").split(/[_\s]+/).filter(Boolean);
  const text = words.map((word) => (CAPITALS.has(word.toLowerCase()) ? word.toUpperCase() : word.toLowerCase())).join(" ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export const rate = (perSecond) => `${perSecond < 10 ? decimal.format(perSecond) : number.format(Math.round(perSecond))}/s`;

export const timeOfDay = (ms) => clock.format(ms);

export const minuteOfDay = (ms) => minutes.format(ms);

// "28 Nov 2026, 10:32:07 UTC"; "" if there is no time.
export const utc = (time) => (Number.isNaN(milliseconds(time)) ? "" : `${inUtc.format(milliseconds(time))} UTC`);

// An RFC 3339 time in milliseconds; NaN if there is none.
export const milliseconds = (time) => (time === null || time === undefined ? NaN : Date.parse(time));

// "10:32" for today, "21 Nov, 10:32" for this year, otherwise with the year.
export function moment(time, nowMs) {
  const ms = milliseconds(time);
  if (Number.isNaN(ms)) return UNKNOWN;
  const [then, now] = [new Date(ms), new Date(nowMs)];
  if (fullDay.format(then) === fullDay.format(now)) return minutes.format(then);
  const date = then.getFullYear() === now.getFullYear() ? day.format(then) : fullDay.format(then);
  return `${date}, ${minutes.format(then)}`;
}

export function duration(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (Number.isNaN(seconds)) return UNKNOWN;
  if (seconds < 60) return `${seconds} s`;
  const [min, hours, days] = [Math.floor(seconds / 60), Math.floor(seconds / 3600), Math.floor(seconds / 86400)];
  if (hours < 1) return `${min} min ${seconds % 60} s`;
  return days < 1 ? `${hours} h ${min % 60} min` : `${days} d ${hours % 24} h`;
}

// An age. It is coarser than a duration, because every row has one.
export function ago(thenMs, nowMs) {
  const ms = nowMs - thenMs;
  if (Number.isNaN(ms)) return UNKNOWN;
  if (ms < 1500) return "now";
  if (ms < 60_000) return `${Math.floor(ms / 1000)} s ago`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min ago`;
  return ms < 86_400_000 ? `${Math.floor(ms / 3_600_000)} h ago` : `${Math.floor(ms / 86_400_000)} d ago`;
}
