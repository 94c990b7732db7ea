// Keeps the site on the visitor's device, so that it works without a network from the second visit on.
//
// scripts/build.py puts facts before this text: the list, `const FILES = {path: [sha256, …], …}`, and the beginnings of
// caches' names, `const SITE_CACHE` and `const SHARED_CACHE`, which the page knows from shared/facts.py. Only bytes of a
// listed hash are ever kept of the site. Another version of the site has another list, so it is another service worker,
// which browsers install beside this one and start when no page of this version is open any more: never within a job.
//
// The index of models may be newer: a page learns of a model that has come since, so it gets the network's index where
// there is one. Ours is kept all the same, for visits without a network.
"use strict";

const SCOPE = self.registration.scope;
const CACHE = SITE_CACHE + SCOPE;
const INDEX = "weights/index.json";
const PATIENCE_MS = 2000; // for the network's index
const SHARE = "share"; // the manifest says so, and names the form's field "songs"

// Files that only some visitors need are kept when a page asks for them.
const isOptional = (path) => /^weights\/.+\/|\/(openblas|scipy|micropip|packaging)-/.test(path);
// Weights pass through unchecked, kept or not, so that the page sees progress: the engine checks their hashes, and asks
// anew for a file that is wrong. A check here would take twice a file's size of memory, which browsers free late.
const isWeights = (path) => /^weights\/.+\.gz$/.test(path);
const key = (path) => `${SCOPE}${path}?sha256=${FILES[path][0]}`;

async function genuine(path, response) {
  if (!response?.ok) return undefined;
  const bytes = await response.arrayBuffer();
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const hash = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  // Only the type header is kept: the others describe a connection that is over.
  const headers = { "Content-Type": response.headers.get("Content-Type") ?? "" };
  return FILES[path].includes(hash) ? new Response(bytes, { headers }) : undefined;
}

async function kept(path) {
  const cache = await caches.open(CACHE);
  const response = await cache.match(key(path));
  return isWeights(path) ? response : genuine(path, response);
}

// Downloads a whole file. A broken download is resumed with a Range request, as long as each attempt gets further.
// A second home beside umx/resuming.py, since a service worker is JavaScript and has no interpreter to ask. It makes no
// pauses: while it waited, the browser might end it.
async function download(url, cache) {
  let parts = [];
  let size = 0;
  for (let furthest = -1; ; ) {
    const response = await fetch(url, { cache, headers: size ? { Range: `bytes=${size}-` } : {} });
    if (!response.headers.get("Content-Range")?.startsWith(`bytes ${size}-`)) [parts, size] = [[], 0];
    try {
      const reader = response.body.getReader();
      for (let step; !(step = await reader.read()).done; size += step.value.length) parts.push(step.value);
      const status = response.status === 206 ? 200 : response.status;
      return new Response(new Blob(parts), { status, headers: response.headers });
    } catch (error) {
      if (size <= furthest) throw error;
      furthest = size;
      // With Content-Encoding, Range offsets don't match decoded bytes; restart.
      if (response.headers.has("Content-Encoding")) [parts, size] = [[], 0];
    }
  }
}

async function fetched(path) {
  // serve.py adds a model that is on its way to the index, except in requests with a hash.
  const url = path === INDEX ? key(path) : SCOPE + path;
  for (const cache of ["default", "reload"]) {
    const response = await genuine(path, await download(url, cache));
    if (response) return response;
  }
  throw new Error(`${path} is not the file that this version of the site is made of.`);
}

// The network's index. Rejects where no list comes in time: no network, or an error page.
async function current() {
  const response = await fetch(SCOPE + INDEX, { cache: "no-cache", signal: AbortSignal.timeout(PATIENCE_MS) });
  if (!Array.isArray(await response.clone().json())) throw new Error("It is no index.");
  return response;
}

async function answered(path, request) {
  if (path === INDEX) return current().catch(async () => (await kept(path)) ?? fetched(path));
  if (!isWeights(path)) return (await kept(path)) ?? fetched(path);
  const isWrong = request.cache === "reload"; // the engine asks anew for weights whose kept copy failed its checks
  const copy = isWrong ? undefined : await kept(path);
  if (copy) return copy;
  const response = await fetch(request);
  if (isWrong && response.ok) await (await caches.open(CACHE)).delete(key(path));
  return response;
}

async function keep(path, file) {
  if (await kept(path)) return;
  const cache = await caches.open(CACHE);
  await cache.put(key(path), (await genuine(path, file && new Response(file))) ?? (await fetched(path)));
}

// Keep what everybody needs, and the optional files that `isWanted` says. `files` has Blobs of some of them, by path.
async function keepAll(isWanted, files = {}) {
  const paths = Object.keys(FILES).filter((path) => !isOptional(path) || isWanted(path));
  await Promise.all(paths.map((path) => keep(path, files[path])));
}

// Keeps the required files, and the optional ones that the version before has kept.
async function install() {
  const cache = await caches.open(CACHE);
  const before = new Set((await cache.keys()).map((request) => request.url.split("?")[0]));
  await keepAll((path) => before.has(SCOPE + path));
}

async function activate() {
  const cache = await caches.open(CACHE);
  const wanted = new Set(Object.keys(FILES).map(key));
  const old = (await cache.keys()).filter((request) => !wanted.has(request.url));
  await Promise.all(old.map((request) => cache.delete(request)));
  await self.clients.claim();
}

// Keeps songs that another program shares with the page, which takes them when it starts.
async function receive(request) {
  const songs = (await request.formData()).getAll("songs").filter((song) => song instanceof File);
  const cache = await caches.open(SHARED_CACHE + SCOPE);
  for (const [index, song] of songs.entries()) {
    const headers = { "Content-Type": song.type, "X-Name": encodeURIComponent(song.name) };
    await cache.put(`${SCOPE}${SHARE}?${Date.now()}.${index}`, new Response(song, { headers }));
  }
}

const requests = {
  // Keep what everybody needs, and the optional files whose paths begin as the page says. A model that has come since
  // is in the list of a newer version only.
  async keep({ prefixes, files }) {
    await keepAll((path) => prefixes.some((prefix) => path.startsWith(prefix)), files);
    const isKnown = (prefix) => Object.keys(FILES).some((path) => path.startsWith(prefix));
    return prefixes.every((prefix) => !prefix.startsWith("weights/") || isKnown(prefix));
  },
  // Take over from the version before, if the page that asks is the only one.
  async renew() {
    const pages = await self.clients.matchAll({ includeUncontrolled: true });
    if (pages.length > 1) return false;
    self.skipWaiting();
    return true;
  },
};

async function answer({ data, ports: [port] }) {
  port.postMessage(await requests[data.kind](data).catch(() => false));
}

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));
self.addEventListener("message", (event) => event.waitUntil(answer(event)));
self.addEventListener("fetch", (event) => {
  const [url] = event.request.url.split(/[?#]/);
  const path = url.slice(SCOPE.length) || "index.html";
  if (event.request.method === "POST" && url === SCOPE + SHARE) {
    const start = () => Response.redirect(SCOPE, 303); // without a song, too, where there is no room to keep it
    event.respondWith(receive(event.request).then(start, start));
  }
  if (event.request.method !== "GET" || !url.startsWith(SCOPE) || !Object.hasOwn(FILES, path)) return;
  event.respondWith(answered(path, event.request));
});
