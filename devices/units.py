"""UCUM units: the ones metrics use, what devices call them, and how one becomes another (value × factor + offset)."""

from difflib import get_close_matches
from typing import NamedTuple


class Conversion(NamedTuple):
    """`value * factor + offset` in the new unit."""

    factor: float
    offset: float

    def __call__(self, value: float) -> float:
        return value * self.factor + self.offset


SAME = Conversion(1.0, 0.0)

# UCUM code: (quantity, factor, offset) to the quantity's first unit. Gases stay apart by mass: ppb needs the molecule.
UNITS: dict[str, tuple[str, float, float]] = {
    "1": ("ratio", 1.0, 0.0),
    "%": ("ratio", 0.01, 0.0),
    "Cel": ("temperature", 1.0, 0.0),
    "[degF]": ("temperature", 5 / 9, -160 / 9),
    "K": ("temperature", 1.0, -273.15),
    "ug/m3": ("mass concentration", 1.0, 0.0),
    "mg/m3": ("mass concentration", 1e3, 0.0),
    "ng/m3": ("mass concentration", 1e-3, 0.0),
    "g/m3": ("mass concentration", 1e6, 0.0),
    "m/s": ("speed", 1.0, 0.0),
    "km/h": ("speed", 1 / 3.6, 0.0),
    "[mi_i]/h": ("speed", 0.44704, 0.0),
    "[kn_i]": ("speed", 1852 / 3600, 0.0),
    "cm/s": ("speed", 0.01, 0.0),
    "deg": ("angle", 1.0, 0.0),
    "rad": ("angle", 57.29577951308232, 0.0),
    "m": ("length", 1.0, 0.0),
    "mm": ("length", 1e-3, 0.0),
    "cm": ("length", 1e-2, 0.0),
    "km": ("length", 1e3, 0.0),
    "[in_i]": ("length", 0.0254, 0.0),
    "[ft_i]": ("length", 0.3048, 0.0),
    "hPa": ("pressure", 1.0, 0.0),
    "Pa": ("pressure", 0.01, 0.0),
    "kPa": ("pressure", 10.0, 0.0),
    "mbar": ("pressure", 1.0, 0.0),
    "bar": ("pressure", 1000.0, 0.0),
    "mm[Hg]": ("pressure", 1.33322387415, 0.0),
    "s": ("time", 1.0, 0.0),
    "ms": ("time", 1e-3, 0.0),
    "min": ("time", 60.0, 0.0),
    "h": ("time", 3600.0, 0.0),
    "kW.h": ("energy", 1.0, 0.0),
    "W.h": ("energy", 1e-3, 0.0),
    "mW.h": ("energy", 1e-6, 0.0),
    "MW.h": ("energy", 1e3, 0.0),
    "J": ("energy", 1 / 3.6e6, 0.0),
    "W": ("power", 1.0, 0.0),
    "mW": ("power", 1e-3, 0.0),
    "kW": ("power", 1e3, 0.0),
    "MW": ("power", 1e6, 0.0),
    "var": ("reactive power", 1.0, 0.0),
    "kvar": ("reactive power", 1e3, 0.0),
    "V": ("voltage", 1.0, 0.0),
    "mV": ("voltage", 1e-3, 0.0),
    "kV": ("voltage", 1e3, 0.0),
    "A": ("current", 1.0, 0.0),
    "mA": ("current", 1e-3, 0.0),
    "Hz": ("frequency", 1.0, 0.0),
    "kHz": ("frequency", 1e3, 0.0),
    "m3/s": ("flow", 1.0, 0.0),
    "m3/h": ("flow", 1 / 3600, 0.0),
    "L/s": ("flow", 1e-3, 0.0),
    "L/min": ("flow", 1e-3 / 60, 0.0),
}

# What devices, SenML, Home Assistant and UN/CEFACT (the unitCode of NGSI) write.
ALIASES: dict[str, str] = {
    "°C": "Cel", "ºC": "Cel", "℃": "Cel", "C": "Cel", "degC": "Cel", "celsius": "Cel", "CEL": "Cel",
    "°F": "[degF]", "℉": "[degF]", "F": "[degF]", "degF": "[degF]", "fahrenheit": "[degF]", "FAH": "[degF]",
    "kelvin": "K", "KEL": "K",
    "%RH": "%", "percent": "%", "P1": "%", "C62": "1", "ratio": "1", "/": "1",
    "µg/m³": "ug/m3", "μg/m³": "ug/m3", "µg/m3": "ug/m3", "μg/m3": "ug/m3", "ug/m³": "ug/m3", "GQ": "ug/m3",
    "mg/m³": "mg/m3", "GP": "mg/m3", "ng/m³": "ng/m3", "g/m³": "g/m3",
    "MTS": "m/s", "mps": "m/s", "KMH": "km/h", "kph": "km/h", "kmh": "km/h", "kmph": "km/h",
    "mph": "[mi_i]/h", "HM": "[mi_i]/h", "kn": "[kn_i]", "kt": "[kn_i]", "kts": "[kn_i]", "KNT": "[kn_i]",
    "°": "deg", "degree": "deg", "degrees": "deg", "DD": "deg", "C81": "rad",
    "MTR": "m", "MMT": "mm", "CMT": "cm", "KMT": "km", "INH": "[in_i]", "in": "[in_i]", "FOT": "[ft_i]", "ft": "[ft_i]",
    "A97": "hPa", "PAL": "Pa", "KPA": "kPa", "MBR": "mbar", "mb": "mbar", "BAR": "bar", "mmHg": "mm[Hg]",
    "HN": "mm[Hg]",
    "sec": "s", "SEC": "s", "MIN": "min", "C26": "ms", "HUR": "h", "hour": "h",
    "kWh": "kW.h", "KWH": "kW.h", "Wh": "W.h", "WHR": "W.h", "mWh": "mW.h", "MWh": "MW.h", "MWH": "MW.h", "JOU": "J",
    "WTT": "W", "KWT": "kW", "MAW": "MW", "C31": "mW", "VAr": "var", "VAR": "var", "D44": "var",
    "kVAr": "kvar", "KVR": "kvar",
    "VLT": "V", "2Z": "mV", "KVT": "kV", "AMP": "A", "4K": "mA", "HTZ": "Hz", "KHZ": "kHz",
    "m³/s": "m3/s", "MQS": "m3/s", "m³/h": "m3/h", "MQH": "m3/h", "l/s": "L/s", "G51": "L/s", "l/min": "L/min",
    "L2": "L/min",
}  # fmt: skip


class UnknownUnit(ValueError):
    """No unit of this name, or none of this quantity. The message suggests the nearest."""


def ucum(name: str) -> str:
    """The UCUM code of a unit by any of its names. Raises UnknownUnit."""
    text = name.strip()
    code = text if text in UNITS else ALIASES.get(text)
    if code is None:
        near = get_close_matches(text, UNITS, n=1) or get_close_matches(text, ALIASES, n=1)
        raise UnknownUnit(f"unknown unit {name!r}" + (f"; did you mean {near[0]}?" if near else ""))
    return code


def conversion(source: str, target: str) -> Conversion:
    """How a value of one unit becomes one of another. Raises UnknownUnit when they measure different things."""
    source, target = ucum(source), ucum(target)
    if source == target:
        return SAME
    quantity, factor, offset = UNITS[source]
    wanted, target_factor, target_offset = UNITS[target]
    if quantity != wanted:
        raise UnknownUnit(f"{source} is a {quantity}, {target} a {wanted}; expected a unit of {wanted}")
    return Conversion(factor / target_factor, (offset - target_offset) / target_factor)
