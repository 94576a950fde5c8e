"""Vendors' codecs: what they are given, what becomes of their answers, and what one message can leave to the next."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.codecs.frames import FRAME_CODECS, unpacked
from devices.codecs.js import Engine, Frame, JsCodec, codec_of, decode_each, decode_many, pinned
from devices.codecs.js.frame_codec import JsFrameCodec
from devices.rejected import Reason, Rejected

RECEIVED_MS = 1_767_225_600_000.0  # 2026-01-01T00:00:00Z


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    made = Engine()
    yield made
    made.close()


def codec(source: str) -> JsCodec:
    return codec_of("test.js", source.encode())


def uplink(body: str) -> JsCodec:
    return codec("function decodeUplink(input) { " + body + " }")


def frame(*octets: int, port: int | None = 1) -> Frame:
    return Frame(bytes(octets), port, RECEIVED_MS)


def one(engine: Engine, source: JsCodec, *octets: int, port: int | None = 1) -> object:
    return decode_many(source, [frame(*octets, port=port)], engine)[0]


TEMPERATURE = """
function i16(bytes, at) { var v = bytes[at] << 8 | bytes[at + 1]; return v > 0x7fff ? v - 0x10000 : v; }
function decodeUplink(input) {
  if (input.fPort !== 2) return { errors: ["unknown FPort"] };
  return { data: { temperature: i16(input.bytes, 0) / 10 }, warnings: input.bytes.length > 2 ? ["too long"] : [] };
}
"""


def test_decodes_the_api_of_the_lora_alliance(engine: Engine) -> None:
    source = codec(TEMPERATURE)
    assert one(engine, source, 0xFF, 0xCE, port=2) == {"temperature": -5}
    assert one(engine, source, 0x01, 0x02, 0x03, port=2) == {"temperature": 25.8, "warnings": ["too long"]}


def test_errors_of_the_codec_are_its_own_words(engine: Engine) -> None:
    rejected = one(engine, codec(TEMPERATURE), 0, 0, port=1)
    assert isinstance(rejected, Rejected)
    assert (rejected.layer, rejected.reason, rejected.value) == ("codec", Reason.CODEC_ERROR, "unknown FPort")
    assert "test.js" in rejected.detail
    assert "compare port and bytes" in rejected.detail


@pytest.mark.parametrize(
    "source",
    [
        "function Decoder(bytes, port) { return {first: bytes[0], port: port}; }",
        "function Decode(fPort, bytes, variables) { return {first: bytes[0], port: fPort}; }",
        "const decodeUplink = (input) => ({data: {first: input.bytes[0], port: input.fPort}})",
        "'use strict'; function decodeUplink({bytes, fPort}) { return {data: {first: bytes[0], port: fPort}} } // end",
        "decodeUplink = function (i) { return {data: {first: i.bytes[0], port: i.fPort}} }",
        "this.decodeUplink = function (i) { return {data: {first: i.bytes[0], port: i.fPort}} }",
    ],
)
def test_older_and_odder_forms_are_called_as_they_expect(engine: Engine, source: str) -> None:
    assert decode_many(codec(source), [frame(7), frame(8, port=9)], engine) == [
        {"first": 7, "port": 1},
        {"first": 8, "port": 9},
    ]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("Date.now()", RECEIVED_MS),
        ("new Date().toISOString()", "2026-01-01T00:00:00.000Z"),
        ("input.recvTime.toISOString()", "2026-01-01T00:00:00.000Z"),
        ("input.recvTime instanceof Date && new Date() instanceof Date", True),
        ("new Date(0).getHours()", 0),
        ("Date().slice(0, 15)", "Thu Jan 01 2026"),
        ("new Date(2020, 0, 2).toISOString()", "2020-01-02T00:00:00.000Z"),
        ("Date.UTC(1970, 0, 1) + Date.parse('1970-01-01T00:00:01Z')", 1000),
        ("new Date().constructor.now()", RECEIVED_MS),
        ("typeof performance", "undefined"),
        ("console.log('x', console)", None),
        ("typeof console.error", "function"),
        ("input.fPort", None),
        ("input.bytes.map(String).concat(['x'])", ["1", "255", "x"]),
        ("Array.isArray(input.bytes)", True),
        ("typeof require + typeof process + typeof module + typeof exports", "undefined" * 4),
        ("0777", 511),
        ("(function () { with ({inside: 3}) { return inside; } })()", 3),
        ("(function () { return typeof this; })()", "object"),
        ("'\\u00b0\\u{1F600}\\0'", "°😀\0"),
        ("'\\ud800'", "\ud800"),
        ("'a'.repeat(3000) + 'b'.repeat(3000)", "a" * 3000 + "b" * 3000),
        ("(function () { var o = {}; o.toString = 1; o.constructor = 2; o.valueOf = 3; return o; })()",
         {"toString": 1, "constructor": 2, "valueOf": 3}),
        ("(function () { var e = new Error('a'); e.name = 'Mine'; e.message = 'b'; return String(e); })()", "Mine: b"),
        ("NaN", None),
        ("[1,2,3].at(-1)", 3),
        ("parseInt('2a', 16)", 42),
        ("btoa('hi') + atob('aGk=')", "aGk=hi"),
    ],
)  # fmt: skip
def test_what_a_codec_finds_around_it(engine: Engine, expression: str, expected: object) -> None:
    said = one(engine, uplink(f"return {{ data: {{ value: {expression} }} }};"), 1, 255, port=None)
    assert said == {"value": expected} or (expected is None and said == {})


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("Buffer.from(input.bytes).readInt16BE(0)", 511),
        ("Buffer.from(input.bytes).readUInt16LE(0)", 0xFF01),
        ("Buffer.from(input.bytes).readUint8(1)", 255),
        ("Buffer.from('0102ff', 'hex').readInt8(2)", -1),
        ("Buffer.from('AQL/', 'base64').toString('hex')", "0102ff"),
        ("Buffer.from('Đô thị 😀').toString()", "Đô thị 😀"),
        ("Buffer.from([0x41, 0xff, 0x42]).toString()", "A\ufffdB"),
        ("Buffer.from('AQL_', 'base64url').toString('base64')", "AQL/"),
        ("Buffer.from([0x42, 0x28, 0, 0]).readFloatBE(0)", 42),
        ("Buffer.from([0, 0, 0x28, 0x42]).readFloatLE()", 42),
        ("Buffer.from([0x80, 0, 0]).readIntBE(0, 3)", -(2**23)),
        ("Buffer.from([1, 2, 3, 4, 5, 6]).readUIntLE(0, 6)", 0x060504030201),
        ("Buffer.from([1, 2, 3, 4]).slice(1, 3).toString('hex')", "0203"),
        ("Buffer.concat([Buffer.from([1]), Buffer.from([2, 3])]).length", 3),
        ("Buffer.from([1, 2])", {"type": "Buffer", "data": [1, 2]}),
        ("Buffer.isBuffer(Buffer.alloc(2)) && !Buffer.isBuffer([])", True),
        ("new Buffer([7, 8])[1]", 8),
        ("Array.from(Buffer.from([1, 2]))", [1, 2]),
        ("String(Buffer.from([0, 0, 0, 0, 0, 0, 1, 0]).readBigUInt64BE(0))", "256"),
        ("(function () { var b = Buffer.alloc(4); b.writeInt16LE(-2, 1); return b.toString('hex'); })()", "00feff00"),
    ],
)
def test_buffer_as_node_has_it(engine: Engine, expression: str, expected: object) -> None:
    assert one(engine, uplink(f"return {{ data: {{ value: {expression} }} }};"), 1, 255) == {"value": expected}


@pytest.mark.parametrize(
    ("body", "reason", "words"),
    [
        ("return undefined;", Reason.WRONG_SHAPE, "returned nothing"),
        ("return 5;", Reason.WRONG_SHAPE, "returned 5"),
        ("return {};", Reason.WRONG_SHAPE, "expected an object of named values"),
        ("return {data: 5};", Reason.WRONG_SHAPE, "gave 5 as data"),
        ("return {data: []};", Reason.WRONG_SHAPE, "gave [] as data"),
        ("return {data: [1, 2]};", Reason.WRONG_SHAPE, "as data"),
        ("return {data: {a: 1n}};", Reason.CODEC_ERROR, "BigInt"),
        ("var a = {}; a.a = a; return {data: a};", Reason.CODEC_ERROR, "circular"),
        ("return {data: {get a() { throw new Error('got'); }}};", Reason.CODEC_ERROR, "got"),
        ("return {data: {toJSON() { throw 'up'; }}};", Reason.CODEC_ERROR, "threw up"),
        ("return {data: new Proxy({}, {ownKeys() { throw 1; }})};", Reason.CODEC_ERROR, "threw 1"),
        ("throw {toString() { throw 1; }};", Reason.CODEC_ERROR, "has no text"),
        ("throw null;", Reason.CODEC_ERROR, "threw null"),
        ("\n\n  input.missing.field;", Reason.CODEC_ERROR, "TypeError"),
        ("\n\n  input.missing.field;", Reason.CODEC_ERROR, "(line 3)"),
        ("return {data: {}, errors: 'one'};", Reason.CODEC_ERROR, "says: one"),
        ("return {data: {a: 'x'.repeat(70000)}};", Reason.TOO_LARGE, "65536"),
        ("return {data: {a: new Array(70000).fill(1)}};", Reason.TOO_LARGE, "140"),
        ("function f() { f(); } f();", Reason.CODEC_ERROR, "stack"),
        ("return Promise.resolve({data: {a: 1}});", Reason.WRONG_SHAPE, "data"),
    ],
)
def test_an_answer_that_is_no_document_costs_only_its_message(
    engine: Engine, body: str, reason: Reason, words: str
) -> None:
    source = uplink("if (input.bytes[0] === 0) return {data: {fine: true}};" + body)
    before, rejected, after = decode_many(source, [frame(0), frame(1), frame(0)], engine)
    assert before == after == {"fine": True}
    assert isinstance(rejected, Rejected)
    assert (rejected.layer, rejected.reason) == ("codec", reason)
    assert words in rejected.detail


@pytest.mark.parametrize("source", ["function (", "throw new Error('at once')", "var x = 1;", "export default 1;", ""])
def test_a_script_that_cannot_be_loaded_says_why(engine: Engine, source: str) -> None:
    rejected = one(engine, codec(source), 1)
    assert isinstance(rejected, Rejected)
    assert rejected.reason is Reason.CODEC_ERROR
    assert "cannot be loaded" in rejected.detail


LEAVINGS = [
    "seen = 1;",
    "globalThis.seen = 1;",
    "Object.defineProperty(globalThis, 'seen', {value: 1, configurable: true});",
    "Object.defineProperty(globalThis, 'seen', {value: 1});",
    "counter++;",
    "table.seen = 1;",
    "kept.push(1);",
    "Object.prototype.seen = 1;",
    "Array.prototype.seen = 1; Array.prototype.push = null;",
    "Object.defineProperty(Array.prototype, 'seen', {value: 1});",
    "String.prototype.trim = null; Number.prototype.seen = 1;",
    "({}).__proto__.seen = 1;",
    "JSON.stringify = null;",
    "JSON = null; parseInt = null; Math = null;",
    "Object.setPrototypeOf(globalThis, {seen: 1});",
    "Object.setPrototypeOf(Array.prototype, {seen: 1});",
    "Object.freeze(globalThis);",
    "Object.getPrototypeOf(function* () {}).seen = 1;",
    "Object.getPrototypeOf([][Symbol.iterator]()).next = null;",
    "globalThis[Symbol.for('seen')] = 1;",
    "Date.now = null; Date = null;",
    "console.seen = 1; Buffer.seen = 1; Buffer.prototype.toString = null;",
    "Error.prototype.seen = 1; Function.prototype.call = null;",
    "decodeUplink = null; helper = null;",
    "new Function('seen = 1')();",
    "delete globalThis.JSON; delete Array.prototype.map;",
    "RegExp.prototype.exec = null; Map.prototype.get = null; Set.prototype.has = null;",
    "Reflect.apply = null; Reflect.ownKeys = null;",
    "Promise.prototype.then = null; Symbol.prototype.seen = 1;",
]
THROWS = "Object.setPrototypeOf(Array"  # where built-ins cannot be changed
OBSERVED = """
var counter = 0, kept = []; const table = {}; function helper() { return 1; }
function decodeUplink(input) {
  if (input.bytes[0] === 1) { %s ; return {data: {}}; }
  return {data: {
    seen: typeof seen + typeof hidden, own: Object.prototype.seen === undefined && [].seen === undefined,
    counter: counter, table: Object.keys(table), kept: kept.length, helper: helper(),
    symbol: Symbol.for('seen') in globalThis, works: [" 1 "].map(function (x) { return parseInt(x.trim()); }),
    spread: [...new Map([[1, 2]]).values()], buffer: Buffer.from([1]).toString("hex"), has: new Set([1]).has(1),
    now: Date.now(), json: JSON.stringify({a: 1}), found: /b/.exec("abc").index,
  }};
}"""


@pytest.mark.parametrize("leaving", LEAVINGS)
def test_nothing_is_left_to_the_next_message(engine: Engine, leaving: str) -> None:
    source = codec(OBSERVED % leaving)
    clean, dirty = frame(0), frame(1)
    said = decode_each(source, [clean, *[dirty, clean] * 12], engine)
    documents = [one.data for one in said if not isinstance(one, Rejected)]
    assert documents[0]["works"] == [1]  # type: ignore[call-overload]
    assert documents == [documents[0], *[{}, documents[0]] * 12]
    slow = any(one.slow for one in said if not isinstance(one, Rejected))
    assert slow == leaving.startswith(THROWS), "held apart by a fresh context, or not"


def test_a_script_that_brings_polyfills_stays_quick(engine: Engine) -> None:
    source = codec(
        "Object.defineProperty(Object, 'assign', {value: Object.assign, configurable: true, writable: true});"
        "String.prototype.twice = function () { return this + this; };"
        "function decodeUplink(i) { return {data: {a: 'x'.twice()}} }"
    )
    said = decode_each(source, [frame(1)] * 30, engine)
    assert [(one.data, one.slow) for one in said if not isinstance(one, Rejected)] == [({"a": "xx"}, False)] * 30


def test_a_script_that_needs_a_fresh_context_gets_one_and_is_reported(engine: Engine) -> None:
    source = codec("function part() { return 1 } function decodeUplink(i) { return {data: {a: this.part()}} }")
    said = decode_each(source, [frame(1)] * 30, engine)
    assert [(one.data, one.slow) for one in said if not isinstance(one, Rejected)] == [({"a": 1}, True)] * 30


@given(st.lists(st.tuples(st.binary(max_size=60), st.none() | st.integers(0, 255)), max_size=20))
@settings(deadline=None, max_examples=60)
def test_any_frame_is_a_document_or_a_rejection(engine: Engine, given_frames: list[tuple[bytes, int | None]]) -> None:
    source = codec(TEMPERATURE + "\nfunction other() {}")
    frames = [Frame(payload, port, RECEIVED_MS) for payload, port in given_frames]
    together = decode_many(source, frames, engine)
    assert together == [decode_many(source, [each], engine)[0] for each in frames]
    for each, said in zip(frames, together, strict=True):
        assert isinstance(said, Rejected) == (each.port != 2)


@given(st.binary(max_size=300))
@settings(deadline=None, max_examples=60)
def test_bytes_arrive_as_they_were(engine: Engine, payload: bytes) -> None:
    source = uplink("return {data: {bytes: input.bytes, hex: Buffer.from(input.bytes).toString('hex')}};")
    said = decode_many(source, [Frame(payload, None, RECEIVED_MS)], engine)[0]
    assert said == {"bytes": [*payload], "hex": payload.hex()}


def test_a_changed_file_is_refused_with_both_hashes(tmp_path: Path) -> None:
    file = tmp_path / "sensor.js"
    file.write_text(TEMPERATURE)
    expected = hashlib.sha256(TEMPERATURE.encode()).hexdigest()
    assert pinned(file, expected).sha256 == expected
    file.write_text(TEMPERATURE + " ")
    with pytest.raises(ValueError, match=f"{hashlib.sha256((TEMPERATURE + ' ').encode()).hexdigest()}.*{expected}"):
        pinned(file, expected)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"var a = '\0'", b" " * (1024 * 1024 + 1)])
def test_what_is_no_script_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"odd\.js"):
        codec_of("odd.js", content)


@pytest.mark.parametrize("entry", [None, "a.js", {"file": "a.js"}, {"file": "no-such.js", "sha256": "00"}])
def test_a_faulty_entry_of_a_profile_is_told(entry: object) -> None:
    with pytest.raises(ValueError, match="codec"):
        FRAME_CODECS["js"](entry)


def test_as_frame_codec_of_an_uplink(tmp_path: Path) -> None:
    source = "function decodeUplink(i) { return {data: {t: i.bytes[0], at: new Date().toISOString()}} }"
    (tmp_path / "t.js").write_text(source)
    entry = {"file": str(tmp_path / "t.js"), "sha256": hashlib.sha256(source.encode()).hexdigest()}
    made = FRAME_CODECS["js"](entry)
    assert isinstance(made, JsFrameCodec)
    document = {"eui": "00", "port": 1, "time": "2026-02-03T04:05:06Z", "frame": b"\x07"}
    said = unpacked(made, document)
    assert isinstance(said, dict)
    assert said["data"] == {"t": 7, "at": "2026-02-03T04:05:06.000Z"}
    rejected = made(b"", None)
    assert isinstance(rejected, dict)  # undefined is left out of JSON
