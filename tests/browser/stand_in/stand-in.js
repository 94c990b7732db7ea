// An engine for tests that need no separation: it answers as app/worker/worker.py does, at once and without Python.
// Each stem is the song times a gain; together they are the song. test_stand_in.py holds both to the same messages.

const PEAK_SAMPLES = 2205;
const CUTTING = { segment: 600 * 1024, overlap: 22050, batch_size: 4, fixed: false };
// Their sum is 1. Drums are louder than the song, so that a song of full scale has a stem that is too loud.
const GAINS = { vocals: 0.5, drums: 1.1, bass: -0.4, other: -0.2 };

let manifest;

const post = (kind, content) => postMessage({ kind, ...content });

// An error that the page says in the visitor's language, by its code and fields.
class CodedError extends Error {
  constructor(code, text, fields) {
    super(text.replace(/{(\w+)}/g, (_, name) => fields[name]));
    this.code = code;
    this.fields = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, String(value)]));
  }
}

async function fetched(file) {
  if (file.startsWith("opfs:")) return kept(...file.slice("opfs:".length).split("/"));
  let response;
  try {
    response = await fetch(file);
  } catch {
    const text = "{file} can't be fetched: the network is gone, or the server.";
    throw new CodedError("weights.no-network", text, { file });
  }
  if (!response.ok) {
    const fields = { file, status: response.status };
    throw new CodedError("weights.refused", "{file} can't be fetched: the server answered {status}.", fields);
  }
  return response.blob();
}

// A file of a model that was made on this device.
async function kept(model, file) {
  const models = await (await navigator.storage.getDirectory()).getDirectoryHandle("umx models");
  return (await (await models.getDirectoryHandle(model)).getFileHandle(file)).getFile();
}

async function load({ url, files }) {
  manifest = undefined;
  const text = await (await fetched(url + "manifest.json")).text();
  const described = JSON.parse(text);
  for (const [index, { file, size }] of described.files.entries()) {
    const { size: found } = files?.[file] ?? (await fetched(url + file));
    if (found !== size) {
      const sentence = "{file} does not unpack to the size that the manifest names; fetch it again.";
      throw new CodedError("weights.unpacked-size", sentence, { file });
    }
    post("progress", { fraction: 0.7 + (0.3 * (index + 1)) / described.files.length });
  }
  manifest = described;
  return { engine: "stand-in", manifest: text, cutting: CUTTING };
}

function tryOut() {
  post("progress", { fraction: 1 });
  return { seconds: 0.02 };
}

function measure({ windows }) {
  const energy = windows.reduce((sum, sample) => sum + (Number.isFinite(sample) ? sample * sample : 0), 0);
  return { level: Math.sqrt(energy / windows.length) };
}

async function separate({ mixture, batch, first, last, stems, excerpt, sample_kind, folder }) {
  const { starts, length, cuts, span } = batch, { overlap } = CUTTING, gains = gainsOf(stems), ends = {};
  const sound = mixture.map((sample) => Math.min(1e6, Math.max(-1e6, sample || 0)));
  for (const [index, start] of starts.entries()) {
    const opens = index === 0, closes = index === starts.length - 1;
    post("progress", { fraction: (index + 0.5) / starts.length });
    // Tests hold this request back to have songs stay at work.
    if (closes) await fetch("turn");
    const side = (channel, gain, from, to, fade) => {
      const before = (2 * index + channel) * span + start - cuts[index];
      return sound.slice(before + from, before + to).map((sample, place) => sample * gain * fade(place));
    };
    const kept = (from, to, fade = () => 1) =>
      gains.map(([name, gain]) => [name, [0, 1].map((channel) => side(channel, gain, from, to, fade))]);
    const from = opens && !first ? overlap : 0, to = closes && last ? length : length - overlap;
    if (opens && !first) ends.head = flat(kept(0, overlap, (place) => (place + 0.5) / overlap));
    await postPiece(start + from, kept(from, to), excerpt, sample_kind, folder);
    if (closes && !last) ends.tail = flat(kept(to, length, (place) => 1 - (place + 0.5) / overlap));
  }
  return ends;
}

// [target, gain] of what is estimated: the wanted targets and what they leave, or all of them.
function gainsOf(stems) {
  const all = manifest.files.flatMap(({ targets }) => targets);
  const wanted = all.filter((target) => stems.includes(target)), chosen = wanted.length ? wanted : all;
  const found = chosen.map((target) => [target, GAINS[target]]);
  const left = 1 - found.reduce((sum, [, gain]) => sum + gain, 0);
  return chosen.length < all.length ? [...found, ["residual", left]] : found;
}

function flat(estimates) {
  const sides = estimates.flatMap(([, sides]) => sides), all = new Float32Array(sides.length * sides[0].length);
  sides.forEach((side, index) => all.set(side, index * side.length));
  return all;
}

async function join({ tail, head, start, stems, excerpt, sample_kind, folder }) {
  const { overlap } = CUTTING, sum = tail.map((sample, place) => sample + head[place]);
  const side = (number) => sum.subarray(number * overlap, (number + 1) * overlap);
  const estimates = gainsOf(stems).map(([name], index) => [name, [side(2 * index), side(2 * index + 1)]]);
  await postPiece(start, estimates, excerpt, sample_kind, folder);
  return {};
}

async function postPiece(place, whole, [begin, end], kind, folder) {
  const trimmed = (side) => side.slice(Math.max(0, begin - place), Math.max(0, end - place));
  const estimates = whole.map(([name, sides]) => [name, sides.map(trimmed)]), start = Math.max(0, place - begin);
  if (!estimates[0][1][0].length) return;
  const stems = named(estimates), samples = estimates[0][1][0].length;
  const encoded = stems.map(([, stem]) => encode(stem, kind)), parts = encoded.map(({ bytes }) => bytes);
  const byName = (values) => Object.fromEntries(stems.map(([name], index) => [name, values[index]]));
  const file = folder ? await stored(folder, `${start} ${crypto.randomUUID()}`, parts) : null;
  post("piece", {
    start,
    samples,
    stems: stems.map(([name]) => name),
    blob: file ?? new Blob(parts),
    file: file?.name ?? "",
    peaks: byName(stems.map(([, stem]) => peaks(stem))),
    loud: byName(encoded.map(({ loud }) => loud)),
  });
}

function named(estimates) {
  const { residual, ...targets } = Object.fromEntries(estimates), found = Object.entries(targets);
  if (targets.vocals) {
    const others = estimates.filter(([name]) => name !== "vocals").map(([, sides]) => sides);
    const added = (channel) => (_, place) => others.reduce((sum, sides) => sum + sides[channel][place], 0);
    found.push(["karaoke", targets.vocals.map((side, channel) => side.map(added(channel)))]);
  }
  // Beside the vocals alone, the rest is karaoke.
  if (residual && !(targets.vocals && found.length === 2)) found.push(["rest", residual]);
  return found;
}

function peaks([left, right]) {
  const found = new Array(Math.ceil(left.length / PEAK_SAMPLES)).fill(0);
  left.forEach((sample, place) => {
    const step = Math.floor(place / PEAK_SAMPLES);
    found[step] = Math.max(found[step], Math.abs(sample), Math.abs(right[place]));
  });
  return found.map((peak) => Math.round(peak * 1000) / 1000);
}

// Two channels as the bytes of a WAV file, and how many samples are louder than full scale.
function encode([left, right], kind) {
  const count = 2 * left.length, full = 2 ** (kind === "24" ? 23 : 15);
  const [Samples, each] = { float: [Float32Array, 1], 16: [Int16Array, 1], 24: [Uint8Array, 3] }[kind];
  const samples = new Samples(each * count);
  let loud = 0;
  for (let place = 0; place < count; place++) {
    const value = (place % 2 ? right : left)[place >> 1];
    if (Math.abs(Math.round(value * 2 ** 15)) > 2 ** 15) loud++;
    const step = Math.min(full - 1, Math.max(-full, Math.round(value * full)));
    if (kind === "float") samples[place] = value;
    else if (kind === "16") samples[place] = step;
    else for (const byte of [0, 1, 2]) samples[3 * place + byte] = step >> (8 * byte);
  }
  return { bytes: new Uint8Array(samples.buffer), loud };
}

function decode(buffer, kind) {
  if (kind === "float") return new Float32Array(buffer);
  if (kind === "16") return Float32Array.from(new Int16Array(buffer), (step) => step / 2 ** 15);
  const bytes = new Uint8Array(buffer);
  return Float32Array.from({ length: bytes.length / 3 }, (_, place) => {
    const [low, middle, high] = bytes.subarray(3 * place);
    return ((high << 24) | (middle << 16) | (low << 8)) / 2 ** 31;
  });
}

// A file in a song's folder, or null where it can't be written.
async function stored(folder, name, parts) {
  try {
    const songs = await (await navigator.storage.getDirectory()).getDirectoryHandle("umx songs");
    const handle = await (await songs.getDirectoryHandle(folder)).getFileHandle(name, { create: true });
    const access = await handle.createSyncAccessHandle();
    try {
      for (const part of parts) access.write(part);
      access.flush();
    } finally {
      access.close();
    }
    return await handle.getFile();
  } catch {
    return null;
  }
}

async function mix({ blobs, gains, pans, sample_kind }) {
  const buffers = await Promise.all(Array.from(blobs, (blob) => blob.arrayBuffer()));
  const stems = buffers.map((buffer) => decode(buffer, sample_kind)), count = stems[0].length / 2;
  const sum = [new Float32Array(count), new Float32Array(count)];
  for (const [index, stem] of stems.entries()) {
    const [toLeft, toRight] = panner(pans[index]), gain = gains[index];
    for (let place = 0; place < count; place++) {
      const left = stem[2 * place], right = stem[2 * place + 1];
      sum[0][place] += gain * (left * toLeft[0] + right * toLeft[1]);
      sum[1][place] += gain * (left * toRight[0] + right * toRight[1]);
    }
  }
  const { bytes, loud } = encode(sum, sample_kind);
  return { samples: bytes, loud };
}

// How much of the left and of the right is heard on the left, and on the right.
function panner(pan) {
  const angle = ((pan <= 0 ? pan + 1 : pan) * Math.PI) / 2, near = Math.sin(angle), far = Math.cos(angle);
  return pan <= 0 ? [[1, far], [0, near]] : [[far, 0], [near, 1]];
}

const write = async ({ folder, name, text }) => ({
  written: Boolean(await stored(folder, name, [new TextEncoder().encode(text)])),
});

// What is found in a song at 120 beats a minute in A minor, as long as the one that came.
async function analyse({ stems, sample_kind }) {
  const pieces = Object.values(stems)[0], frame = 2 * { 16: 2, 24: 3, float: 4 }[sample_kind];
  const seconds = pieces.reduce((sum, { size }) => sum + size, 0) / frame / 44100;
  post("progress", { fraction: 0.3 });
  // Tests hold this request back to have the analysis stay at work.
  await fetch("turn");
  post("progress", { fraction: 1 });
  const beats = Array.from({ length: Math.ceil(2 * seconds) }, (_, index) => index / 2);
  const names = ["Am", "F", "Dm", "E"];
  const chords = beats.filter((_, index) => index % 4 === 0).map((time, bar) => [time, names[bar % 4]]);
  const found = { bpm: 120, beats, one: 0, meter: 4, tempo_sure: "sure", key: "A minor", second: "C major", chords };
  return { analysis: JSON.stringify(found) };
}

const cutting = () => ({ cutting: CUTTING });

const REQUESTS = { load, "try out": tryOut, cutting, measure, separate, join, mix, write, analyse };

onmessage = async ({ data: { kind, ...content } }) => {
  try {
    post("answer", { heap: 40_000_000, ...(await REQUESTS[kind](content)) });
  } catch ({ message, code = "", fields = {} }) {
    post("error", { message, code, fields, memory: false });
  }
};
post("progress", { fraction: 0.7 });
