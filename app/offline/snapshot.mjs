// Pyodide's memory as it is after a start, kept on the visitor's device: it is read in a fifth of the time of a start.
//
// Only what this page has made there is used, unless its hash says that it has changed since.
import { isSkipped } from "../shims/gc_probe.mjs";
import { version } from "../vendor/pyodide/pyodide.mjs";

// Modules of the standard library that the engine needs and that load slowly.
export const MODULES = "dataclasses, hashlib, numbers, pickle, platform";

const CACHE = "umx snapshot of " + new URL("..", import.meta.url); // other sites may share the origin
// The snapshot includes the probe's result, so browsers that skip the probe have a snapshot of their own.
const FACTS = new URLSearchParams({ version, MODULES, ...(isSkipped && { probe: "skipped" }) });
const ADDRESS = new URL(`../snapshot?${FACTS}`, import.meta.url).href;

const PATIENCE_MS = 5000; // some browsers' storage never answers

async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const opened = () => caches.open(CACHE);

export async function isKept() {
  return Boolean(await (await opened()).match(ADDRESS));
}

// The snapshot, an ArrayBuffer; undefined where none is kept, or the browser keeps nothing.
export async function read() {
  try {
    const late = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS));
    const response = await Promise.race([opened().then((cache) => cache.match(ADDRESS)), late]);
    const bytes = await response?.arrayBuffer();
    if (!bytes || (await sha256(bytes)) === response.headers.get("sha256")) return bytes;
    await forget();
  } catch {}
}

// Keeps a snapshot in place of one of another version.
export async function keep(bytes) {
  const response = new Response(bytes, { headers: { sha256: await sha256(bytes) } });
  await forget();
  await (await opened()).put(ADDRESS, response);
}

// Deletes the entries, not the cache: in WebKit, a cache made again under the same name loses what is put into it.
export async function forget() {
  const cache = await opened();
  for (const address of await cache.keys()) await cache.delete(address);
}
