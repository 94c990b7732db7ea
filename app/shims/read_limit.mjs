// Limits the reads of a file by the media library. In some damaged files its parser reads the same bytes for ever, which
// would freeze the page.

// Reads allowed before the event loop runs again; more means the parser loops. Reads without a pause are of what is in
// memory, 8 MB at most, and a sound file has a frame in a hundred bytes or more.
const MOST = 1_000_000;

let count = 0;
const { port1, port2 } = new MessageChannel(); // timers are slow in a hidden tab
port1.onmessage = () => (count = 0);

export function limited(source) {
  const { _read } = source; // not part of the library's interface, but every read goes through it
  source._read = (...range) => {
    if (!count) port2.postMessage("a pause");
    count += 1;
    if (count > MOST) throw new Error("This file has the reader go round in circles.");
    return _read.apply(source, range);
  };
  return source;
}
