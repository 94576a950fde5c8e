// What a vendor's codec finds around it, and the one function by which the worker calls it. A context is made for one
// version of a codec; `setup` is called first, before a line of the vendor's runs.
(function setup(bufferSource, received) {
  "use strict";
  const { apply, construct, setPrototypeOf, ownKeys, getOwnPropertyDescriptor, defineProperty, getPrototypeOf, isExtensible, deleteProperty } = Reflect;
  const { create, freeze } = Object;
  const { parse, stringify } = JSON;
  const { min } = Math;
  const RealDate = Date, RealError = Error, RealFunction = Function, RealSet = Set;
  const text = String;
  const evaluate = (0, eval);
  const world = globalThis;
  const { join } = Array.prototype, { has } = Set.prototype, { slice: sliceText } = String.prototype;
  // The engine keeps long sums of texts in pieces, which its binding cannot return.
  const flat = (...parts) => apply(join, parts, [""]);
  const slice = (long) => apply(sliceText, long, [0, LONGEST_ERROR]);
  const LONGEST = 65536, LONGEST_ERROR = 300;
  let now = received;

  // Names of entry points, in the order in which they are looked for: LoRa Alliance TS013, ChirpStack 3, The Things
  // Network 2. The older two return the data themselves.
  const NAMED =
    'typeof decodeUplink === "function" ? "decodeUplink" : typeof Decode === "function" ? "Decode"' +
    ' : typeof Decoder === "function" ? "Decoder" : ""';
  const CALLS = {
    decodeUplink: (entry, input) => entry(input),
    Decode: (entry, input) => ({ data: entry(input.fPort, input.bytes, {}) }),
    Decoder: (entry, input) => ({ data: entry(input.bytes, input.fPort) }),
  };

  function offer(name, value) {
    defineProperty(world, name, { value, writable: true, configurable: true, enumerable: false });
  }

  // The clock stands at the time of receipt, so that a message decodes today as it did then.
  RealDate.now = () => now;
  offer("Date", new Proxy(RealDate, {
    apply: () => new RealDate(now).toString(),
    construct: (target, given, made) => construct(target, given.length ? given : [now], made),
  }));
  RealDate.prototype.constructor = world.Date;

  const quiet = () => {};
  offer("console", { log: quiet, debug: quiet, info: quiet, warn: quiet, error: quiet, trace: quiet, table: quiet });
  offer("Buffer", evaluate(bufferSource));
  // Not part of the language that codecs are written in; each could carry something from one message to the next.
  for (const name of ["performance", "queueMicrotask", "SharedArrayBuffer", "Atomics", "WeakRef", "DOMException",
    "FinalizationRegistry", "AsyncDisposableStack", "DisposableStack", "SuppressedError"]) deleteProperty(world, name);

  // Objects of the language that no global name leads to.
  function hidden() {
    return [function* () {}, async function () {}, async function* () {}, (function* () {})(), [][Symbol.iterator](),
      ""[Symbol.iterator](), new Map().values(), new Set().values(), /a/[Symbol.matchAll](""), [].values().map(quiet),
      Iterator.from({ next: quiet }), (async function* () {})()].map(getPrototypeOf);
  }

  // A frozen property of a prototype would also forbid objects to have one of that name by assignment.
  function allowOverride(owner, names) {
    for (const name of names) {
      const found = getOwnPropertyDescriptor(owner, name);
      if (!found || !("value" in found) || !found.configurable) continue;
      const value = found.value;
      defineProperty(owner, name, {
        get: () => value,
        set(given) {
          if (this === owner || this === undefined || this === null) return;
          defineProperty(this, name, { value: given, writable: true, configurable: true, enumerable: true });
        },
        configurable: false, enumerable: found.enumerable,
      });
    }
  }

  // The global object is emptied into its prototype, so that what a message leaves on it is seen at a glance.
  function builtins() {
    const built = create(getPrototypeOf(world));
    for (const name of ownKeys(world)) {
      const found = getOwnPropertyDescriptor(world, name);
      if (found.configurable && deleteProperty(world, name)) defineProperty(built, name, found);
    }
    setPrototypeOf(world, built);
    return built;
  }

  // Scripts bring their own Object.assign and the like by defineProperty. What they brought when they were first
  // evaluated has stayed; to do so again is no error.
  function tolerate(fixed) {
    const define = Object.defineProperty;
    Object.defineProperty = function defineProperty(target, name, given) {
      return apply(has, fixed, [target]) ? target : define(target, name, given);
    };
  }

  function freezeAll() {
    allowOverride(Object.prototype, ["constructor", "toString", "toLocaleString", "valueOf", "hasOwnProperty"]);
    allowOverride(RealError.prototype, ["name", "message", "toString"]);
    for (const kind of [TypeError, RangeError, SyntaxError, ReferenceError])
      allowOverride(kind.prototype, ["name", "message"]);
    allowOverride(Array.prototype, ["toString", "join", "concat"]);
    const built = builtins();
    const seen = new RealSet(), waiting = [built, ...hidden()];
    tolerate(seen);
    const add = (value) => {
      if ((typeof value === "object" && value !== null && value !== world) || typeof value === "function")
        if (!seen.has(value)) { seen.add(value); waiting.push(value); }
    };
    for (const one of waiting) seen.add(one);
    while (waiting.length) {
      const one = waiting.pop();
      add(getPrototypeOf(one));
      for (const name of ownKeys(one)) {
        const found = getOwnPropertyDescriptor(one, name);
        add(found.value); add(found.get); add(found.set);
      }
      // Bytes of a typed array cannot be frozen; what they hold is the codec's own table.
      if (!ArrayBuffer.isView(one)) freeze(one);
    }
  }

  function lineOf(stack, above) {
    const found = /:(\d+):\d+\)?\s*$/m.exec(text(stack));
    return found && found[1] - above > 0 ? ` (line ${found[1] - above})` : "";
  }

  function describe(thrown, above) {
    try {
      if (!(thrown instanceof RealError)) return flat("E", slice(text(thrown)));
      const said = slice(flat(text(thrown.name), ": ", text(thrown.message)));
      return flat(said === "InternalError: out of memory" ? "M" : "E", said, lineOf(thrown.stack, above));
    } catch {
      return "Esomething that has no text";
    }
  }

  // JSON as it is; a capital letter, with which no JSON starts, in front of anything else.
  function judged(said) {
    const result = stringify(said);
    if (typeof result !== "string") return "N";
    return result.length > LONGEST ? flat("B", result.length) : result;
  }

  function answer(entryOf, name, above, frame, port, received) {
    now = received;
    try {
      return judged(CALLS[name](entryOf(), { bytes: parse(frame), fPort: port, recvTime: new RealDate(received) }));
    } catch (thrown) {
      return describe(thrown, above);
    }
  }

  // What a message left behind is removed; true when that cannot be done.
  function soiled(known, count, root) {
    if (getPrototypeOf(world) !== root || !isExtensible(world)) return true;
    const names = ownKeys(world);
    if (names.length === count) return false;
    for (const name of names) if (!(name in known) && !deleteProperty(world, name)) return true;
    return false;
  }

  function namesOf(owner) {
    const names = create(null);
    for (const name of ownKeys(owner)) names[name] = true;
    return names;
  }

  // Quick: the script is a function that is called anew for each message, so that its variables start afresh, among
  // built-ins that cannot be changed.
  function quick(source) {
    const name = new RealFunction(`${source}\n;return ${NAMED}`)();
    if (!name) return null;
    const script = new RealFunction(`${source}\n;return ${name}`);
    deleteProperty(world, "eval");
    freezeAll();
    const root = getPrototypeOf(world);
    const known = freeze(namesOf(world)), count = ownKeys(world).length;
    // A minus in front: this context is not to be used again.
    return function decode(frame, port, received) {
      const said = answer(script, name, 2, frame, port, received);
      return soiled(known, count, root) ? flat("-", said) : said;
    };
  }

  // Faithful: the script has been evaluated as a script, in a context that serves for one message.
  function faithful() {
    const name = evaluate(NAMED);
    return name ? (frame, port, received) => answer(() => evaluate(name), name, 0, frame, port, received) : null;
  }

  return (source) => (source === null ? faithful() : quick(source));
})
