"""What people are told about the air, by band of VN_AQI; the sentences are the table `vn_aqi_advice`."""

import msgspec

Sentence = dict[str, str]
"""By language: vi, en."""


class Advice(msgspec.Struct, frozen=True):
    """For indices up to `high`: what it does to health, and what everyone and sensitive people should do."""

    high: int
    effect: Sentence
    everyone: Sentence
    sensitive: Sentence


def advice_for(table: list[Advice], index: float) -> Advice | None:
    """The advice for a rounded index; None for NaN."""
    return next((one for one in table if index <= one.high), None)
