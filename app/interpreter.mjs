// Pyodide as PyScript's workers start it, without the database that PyScript opens first.
//
// Where the visitor's browser lets pages keep nothing, PyScript would give up there. It would hold packages that were
// put together on the way, of which this page has none: an empty stand-in serves as well everywhere.
import * as pyodide from "./vendor/pyodide/pyodide.mjs";

const request = (result) => {
  const made = { result };
  queueMicrotask(() => made.onsuccess({ target: made }));
  return made;
};
const store = { getAllKeys: () => request([]), clear: () => request() };
const database = { close() {}, transaction: () => ({ objectStore: () => store }) };
Object.defineProperty(self, "indexedDB", { value: { open: () => request(database) } });

export const { version } = pyodide;
export const loadPyodide = (options) =>
  pyodide.loadPyodide({ ...options, indexURL: new URL("./vendor/pyodide/", import.meta.url).href });
