// Pyodide's memory as it is after a start, kept on the visitor's device: it is read in a fifth of the time of a start.
//
// Only what this page has made there is used, unless its hash says that it has changed since.
import { isSkipped } from "./probe.mjs";
import { version } from "./vendor/pyodide/pyodide.mjs";

// What the engine needs of the standard library and takes long to load.
export const MODULES = "dataclasses, hashlib, numbers, pickle, platform";

const CACHE = "umx snapshot of " + new URL(".", import.meta.url); // other sites may share the origin
// Memory holds what came of the probe: where it is skipped, a snapshot from before that would be wrong.
const FACTS = new URLSearchParams({ version, MODULES, ...(isSkipped && { probe: "skipped" }) });
const ADDRESS = new URL(`snapshot?${FACTS}`, import.meta.url).href;

const PATIENCE = 5000; // milliseconds: some browsers' storage never answers

async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const opened = () => caches.open(CACHE);

export async function isKept() {
  return Boolean(await (await opened()).match(ADDRESS));
}

// An ArrayBuffer; nothing where none is kept, or the browser keeps nothing at all.
export async function read() {
  try {
    const late = new Promise((resolve) => setTimeout(resolve, PATIENCE));
    const response = await Promise.race([opened().then((cache) => cache.match(ADDRESS)), late]);
    const bytes = await response?.arrayBuffer();
    if (!bytes || (await sha256(bytes)) === response.headers.get("sha256")) return bytes;
    await forget();
  } catch {}
}

// In place of the one of another version.
export async function keep(bytes) {
  const response = new Response(bytes, { headers: { sha256: await sha256(bytes) } });
  await forget();
  await (await opened()).put(ADDRESS, response);
}

// Not the cache itself: in WebKit, what is put into one of the same name afterwards is lost.
export async function forget() {
  const cache = await opened();
  for (const address of await cache.keys()) await cache.delete(address);
}
