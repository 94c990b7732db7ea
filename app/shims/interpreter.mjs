// Pyodide as PyScript's workers start it: from a snapshot, and without the database that PyScript opens first.
//
// Where the visitor's browser lets pages keep nothing, PyScript would give up there. It would hold packages that were
// put together on the way, of which this page has none: an empty stand-in serves as well everywhere.
import * as pyodide from "./vendor/pyodide/pyodide.mjs";
import { forget, read } from "./snapshot.mjs";

const request = (result) => {
  const made = { result };
  queueMicrotask(() => made.onsuccess({ target: made }));
  return made;
};
const store = { getAllKeys: () => request([]), clear: () => request() };
const database = { close() {}, transaction: () => ({ objectStore: () => store }) };
Object.defineProperty(self, "indexedDB", { value: { open: () => request(database) } });

export const { version } = pyodide;
const indexURL = new URL("./vendor/pyodide/", import.meta.url).href;

export async function loadPyodide(options) {
  const usual = { ...options, indexURL };
  let snapshot = await read();
  if (!snapshot) return pyodide.loadPyodide(usual);
  // Pyodide keeps its options for as long as it lives, but waits for this one: it needn't keep 20 MB.
  const _loadSnapshot = {
    then(resolve) {
      resolve(snapshot);
      snapshot = undefined;
    },
  };
  try {
    const started = await pyodide.loadPyodide({ ...usual, _loadSnapshot });
    performance.mark("umx:from-snapshot");
    return started;
  } catch {
    await forget(); // whatever is wrong with it
    return pyodide.loadPyodide(usual);
  }
}
