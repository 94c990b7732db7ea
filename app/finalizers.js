// A FinalizationRegistry that calls back for what is gone alone.
//
// Chromium's collector (seen in 150) calls back now and then for an object that a timer or a listener still holds, and
// that a WeakRef still finds. An interpreter would then give that object's place in its memory to another, and events
// would call whatever came there. Here such an object is watched on.
const Registry = globalThis.FinalizationRegistry;

globalThis.FinalizationRegistry = class FinalizationRegistry extends Registry {
  constructor(callback) {
    super(({ reference, held, token }) => {
      const target = reference.deref();
      if (target) this.register(target, held, token?.deref());
      else callback(held);
    });
  }

  register(target, held, token) {
    super.register(target, { reference: new WeakRef(target), held, token: token && new WeakRef(token) }, token);
  }
};
