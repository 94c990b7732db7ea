// Drops callbacks of a FinalizationRegistry in a page that was left.
//
// Such a page lives on for a while, and what it calls globalThis is the page that came after it, in the same tab: its
// MicroPython would let go of what the new one still holds, and timers and listeners there would call something else.
const page = globalThis.document;

globalThis.FinalizationRegistry = class extends FinalizationRegistry {
  constructor(callback) {
    super((held) => globalThis.document === page && callback(held));
  }
};
