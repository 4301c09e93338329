// The text in place of rows: the name of the collection, and which document to write to see a row.

import { byId, setText } from "./dom.js";
import { schema } from "./schema.js";

const VALUES = {
  timestamp: "a timestamp",
  string: "text such as 2026-11-28T09:30:00Z",
  milliseconds: "a number: milliseconds since 1970",
  seconds: "a number: seconds since 1970",
};

// `state`: {hasAnswered, isSearch, areFiltersSet, loaded}. Returns [title, what to do].
function wordsFor({ hasAnswered, isSearch, areFiltersSet, loaded }) {
  if (!hasAnswered) return ["Loading …", ""];
  const collection = schema.collection || "the collection";
  if (isSearch && loaded > 0) return [`None of the ${loaded} rows loaded has this in its ID.`, "Enter asks for exactly this ID."];
  if (isSearch) return [`No row of ${collection} is loaded.`, "Enter asks for exactly this ID."];
  if (areFiltersSet) return [`No process in ${collection} matches these filters.`, "Processes that match later appear here automatically."];
  return [
    `No process in ${collection} yet.`,
    `Write a document to ${collection} with the field ${schema.order_field}: ${VALUES[schema.order_type] ?? "a time"}. It appears here within a second.`,
  ];
}

export function showEmpty(isEmpty, state) {
  byId("empty").hidden = !isEmpty;
  if (!isEmpty) return;
  const [title, what] = wordsFor(state);
  setText(byId("empty-title"), title);
  setText(byId("empty-what"), what);
}
