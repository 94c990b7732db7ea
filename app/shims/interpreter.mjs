// Pyodide as PyScript's workers import it, with three changes; README.md says why and until when.
import * as pyodide from "../vendor/pyodide/pyodide.mjs";
import { forget, read } from "../offline/snapshot.mjs";

// PyScript opens IndexedDB for packages built at run time. We have none; a stub avoids failing in private windows.
const request = (result) => {
  const made = { result };
  queueMicrotask(() => made.onsuccess({ target: made }));
  return made;
};
const store = { getAllKeys: () => request([]), clear: () => request() };
const database = { close() {}, transaction: () => ({ objectStore: () => store }) };
Object.defineProperty(self, "indexedDB", { value: { open: () => request(database) } });

// Pyodide ignores rejections without `.stack`, so the await never returns. Chromium's QuotaExceededError from the file
// system has none. Assigning fails in Firefox, whose prototype has a setter for its instances alone.
Object.defineProperty(DOMException.prototype, "stack", { value: "", writable: true, configurable: true });

export const { version } = pyodide;
const indexURL = new URL("../vendor/pyodide/", import.meta.url).href;

export async function loadPyodide(options) {
  const usual = { ...options, indexURL };
  let snapshot = await read();
  if (!snapshot) return pyodide.loadPyodide(usual);
  // Pyodide keeps its options as long as it lives, but awaits this one: a thenable lets go of the 20 MB once they are read.
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
