// Node's Buffer, as far as codecs use it: bytes from arrays, hex, base64 and text; numbers of any width and order.
(function () {
  "use strict";
  const base = Uint8Array.prototype;
  const made = (bytes) => Object.setPrototypeOf(bytes, Buffer.prototype);
  const view = (buffer) => new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);

  function utf8(text) {
    const bytes = [];
    for (const letter of text) {
      const code = letter.codePointAt(0);
      if (code < 0x80) bytes.push(code);
      else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 63));
      else if (code < 0x10000) bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
      else bytes.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    }
    return bytes;
  }

  function fromUtf8(bytes) {
    let text = "";
    for (let i = 0; i < bytes.length; ) {
      const lead = bytes[i];
      const more = lead < 0x80 ? 0 : lead >= 0xc2 && lead < 0xe0 ? 1 : lead >= 0xe0 && lead < 0xf0 ? 2
        : lead >= 0xf0 && lead < 0xf5 ? 3 : -1;
      let code = more < 0 ? 0xfffd : more === 0 ? lead : lead & (0x3f >> more), used = 1;
      while (used <= more && (bytes[i + used] & 0xc0) === 0x80) code = (code << 6) | (bytes[i + used++] & 63);
      const broken = used <= more || code > 0x10ffff || (code >= 0xd800 && code < 0xe000);
      text += String.fromCodePoint(broken ? 0xfffd : code);
      i += used;
    }
    return text;
  }

  function fromHex(text) {
    const bytes = [];
    for (let i = 0; i + 1 < text.length; i += 2) {
      const pair = text.slice(i, i + 2);
      if (!/^[0-9a-f]{2}$/i.test(pair)) break;
      bytes.push(parseInt(pair, 16));
    }
    return bytes;
  }

  const narrow = (mask) => (bytes) => Array.from(bytes, (byte) => String.fromCharCode(byte & mask)).join("");
  const codes = (text) => Array.from(text, (letter) => letter.charCodeAt(0) & 255);
  const base64 = (text) => codes(atob(text.replace(/-/g, "+").replace(/_/g, "/").replace(/[^A-Za-z0-9+/]/g, "")));
  const toBase64 = (bytes) => btoa(narrow(255)(bytes));
  const toHex = (bytes) => Array.from(bytes, (byte) => (byte < 16 ? "0" : "") + byte.toString(16)).join("");
  const toUrl = (bytes) => toBase64(bytes).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
  const READ = { utf8, "utf-8": utf8, hex: fromHex, base64, base64url: base64, ascii: codes, latin1: codes, binary: codes };
  const WRITE = { utf8: fromUtf8, "utf-8": fromUtf8, hex: toHex, base64: toBase64, base64url: toUrl, ascii: narrow(127),
    latin1: narrow(255), binary: narrow(255) };

  function coding(table, name) {
    const found = table[String(name === undefined ? "utf8" : name).toLowerCase()];
    if (!found) throw new TypeError(`Unknown encoding: ${name}`);
    return found;
  }

  function Buffer(value, encoding, length) {
    return typeof value === "number" ? Buffer.alloc(value) : Buffer.from(value, encoding, length);
  }
  Buffer.from = (value, encoding, length) => {
    if (typeof value === "string") return made(new Uint8Array(coding(READ, encoding)(value)));
    if (value instanceof ArrayBuffer) return made(new Uint8Array(value, encoding, length));
    return made(new Uint8Array(value && value.type === "Buffer" ? value.data : value));
  };
  Buffer.alloc = (size, fill = 0) => made(new Uint8Array(size).fill(fill));
  Buffer.allocUnsafe = Buffer.alloc;
  Buffer.isBuffer = (value) => value instanceof Buffer;
  Buffer.byteLength = (value, encoding) => Buffer.from(value, encoding).length;
  Buffer.concat = (list) => made(new Uint8Array(list.flatMap((bytes) => Array.from(bytes))));

  const methods = {
    toString(encoding, start = 0, end = this.length) {
      return coding(WRITE, encoding)(base.subarray.call(this, start, end));
    },
    toJSON() { return { type: "Buffer", data: Array.from(this) }; },
    equals(other) { return this.length === other.length && base.every.call(this, (byte, i) => byte === other[i]); },
    subarray(start, end) { return made(new Uint8Array(this.buffer, this.byteOffset, this.byteLength).subarray(start, end)); },
    slice(start, end) { return this.subarray(start, end); },
    copy(target, at = 0, start = 0, end = this.length) {
      const part = this.subarray(start, Math.min(end, start + target.length - at));
      target.set(part, at);
      return part.length;
    },
    write(text, at = 0, encoding = "utf8") {
      const bytes = coding(READ, encoding)(text).slice(0, this.length - at);
      this.set(bytes, at);
      return bytes.length;
    },
    readUIntBE(at, n) { let sum = 0; for (let i = 0; i < n; i++) sum = sum * 256 + view(this).getUint8(at + i); return sum; },
    readUIntLE(at, n) { let sum = 0; for (let i = n; i--; ) sum = sum * 256 + view(this).getUint8(at + i); return sum; },
    readIntBE(at, n) { const sum = this.readUIntBE(at, n); return sum < 2 ** (8 * n - 1) ? sum : sum - 2 ** (8 * n); },
    readIntLE(at, n) { const sum = this.readUIntLE(at, n); return sum < 2 ** (8 * n - 1) ? sum : sum - 2 ** (8 * n); },
  };
  const NUMBERS = [["UInt8", "Uint8", 1], ["Int8", "Int8", 1], ["UInt16", "Uint16", 2], ["Int16", "Int16", 2],
    ["UInt32", "Uint32", 4], ["Int32", "Int32", 4], ["Float", "Float32", 4], ["Double", "Float64", 8],
    ["BigUInt64", "BigUint64", 8], ["BigInt64", "BigInt64", 8]];
  for (const [name, kind, size] of NUMBERS)
    for (const [order, little] of size === 1 ? [["", true]] : [["LE", true], ["BE", false]]) {
      methods[`read${name}${order}`] = function (at = 0) { return view(this)[`get${kind}`](at, little); };
      methods[`write${name}${order}`] = function (value, at = 0) {
        view(this)[`set${kind}`](at, value, little);
        return at + size;
      };
    }
  for (const name of Object.keys(methods)) methods[name.replace("UInt", "Uint")] = methods[name];
  Buffer.prototype = Object.create(base);
  for (const name of ["constructor", ...Object.keys(methods)])
    Object.defineProperty(Buffer.prototype, name, { value: methods[name], writable: true, configurable: true });
  Object.defineProperty(Buffer.prototype, "constructor", { value: Buffer, writable: true, configurable: true });
  return Buffer;
})()
