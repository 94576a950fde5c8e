"""Vendors' JavaScript codecs (LoRa Alliance TS013 Payload Codec API, and the two older forms that servers took).

They run in a process of their own that can be killed (worker.py); a codec is held to the SHA-256 of its file.
"""

from devices.codecs.js.decode import Decoded, decode_each, decode_many
from devices.codecs.js.engine import ENGINE, Engine
from devices.codecs.js.frame_codec import JsFrameCodec, js_codec, with_folder
from devices.codecs.js.source import JsCodec, codec_of, pinned
from devices.codecs.js.worker_process import Frame

__all__ = [
    "ENGINE",
    "Decoded",
    "Engine",
    "Frame",
    "JsCodec",
    "JsFrameCodec",
    "codec_of",
    "decode_each",
    "decode_many",
    "js_codec",
    "pinned",
    "with_folder",
]
