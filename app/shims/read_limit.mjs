// A file's source, as the media library reads from it, that gives up where the library goes round in circles: in some
// damaged files it reads the same bytes for ever, and the page would never come to do anything else.

// Of what is in memory already, at most 8 MB, without a pause. A sound file has a frame in a hundred bytes or more.
const MOST = 1_000_000;

let count = 0;
const { port1, port2 } = new MessageChannel(); // timers are slow in a hidden tab
port1.onmessage = () => (count = 0);

export function bounded(source) {
  const { _read } = source; // everything is read by this, though nothing is said of it
  source._read = (...range) => {
    if (!count) port2.postMessage("a pause");
    count += 1;
    if (count > MOST) throw new Error("This file has the reader go round in circles.");
    return _read.apply(source, range);
  };
  return source;
}
