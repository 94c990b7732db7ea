// A worker that makes a snapshot where none is kept, posts "over" and ends.
import { isKept, keep, MODULES } from "./snapshot.mjs";
import { loadPyodide } from "../vendor/pyodide/pyodide.mjs";

try {
  if (!(await isKept())) {
    const pyodide = await loadPyodide({ _makeSnapshot: true });
    pyodide.runPython(`import ${MODULES}`);
    await keep(pyodide.makeMemorySnapshot());
  }
} catch {
  // Without room or memory for a snapshot, starts take as long as before.
}
postMessage("over");
close();
