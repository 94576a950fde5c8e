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
    "[mi_i]": ("length", 1609.344, 0.0),
    "hPa": ("pressure", 1.0, 0.0),
    "Pa": ("pressure", 0.01, 0.0),
    "kPa": ("pressure", 10.0, 0.0),
    "mbar": ("pressure", 1.0, 0.0),
    "bar": ("pressure", 1000.0, 0.0),
    "mm[Hg]": ("pressure", 1.33322387415, 0.0),
    "[in_i'Hg]": ("pressure", 33.86388640341, 0.0),
    "s": ("time", 1.0, 0.0),
    "ms": ("time", 1e-3, 0.0),
    "min": ("time", 60.0, 0.0),
    "h": ("time", 3600.0, 0.0),
    "kW.h": ("energy", 1.0, 0.0),
    "W.h": ("energy", 1e-3, 0.0),
    "W.min": ("energy", 1e-3 / 60, 0.0),
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
    "m3/d": ("flow", 1 / 86400, 0.0),
    "L/s": ("flow", 1e-3, 0.0),
    "L/min": ("flow", 1e-3 / 60, 0.0),
    "[ppth]": ("ratio", 1e-3, 0.0),
    "[ppm]": ("ratio", 1e-6, 0.0),
    "[ppb]": ("ratio", 1e-9, 0.0),
    "mg/L": ("mass concentration", 1e6, 0.0),
    "ug/L": ("mass concentration", 1e3, 0.0),
    "g/L": ("mass concentration", 1e9, 0.0),
    "mm/s": ("speed", 1e-3, 0.0),
    "mm/h": ("speed", 1e-3 / 3600, 0.0),
    "d": ("time", 86400.0, 0.0),
    "/min": ("frequency", 1 / 60, 0.0),
    "Ohm": ("resistance", 1.0, 0.0),
    "kOhm": ("resistance", 1e3, 0.0),
    "V.A": ("apparent power", 1.0, 0.0),
    "kV.A": ("apparent power", 1e3, 0.0),
    "kvar.h": ("reactive energy", 1.0, 0.0),
    "var.h": ("reactive energy", 1e-3, 0.0),
    "m/s2": ("acceleration", 1.0, 0.0),
    "[g]": ("acceleration", 9.80665, 0.0),
    "dB[SPL]": ("level", 1.0, 0.0),
    "dB": ("level", 1.0, 0.0),
    "lx": ("illuminance", 1.0, 0.0),
    "klx": ("illuminance", 1e3, 0.0),
    "W/m2": ("irradiance", 1.0, 0.0),
    "umol/(m2.s)": ("photon flux", 1.0, 0.0),
    "uS/cm": ("conductivity", 1.0, 0.0),
    "mS/cm": ("conductivity", 1e3, 0.0),
    "dS/m": ("conductivity", 1e3, 0.0),
    "S/m": ("conductivity", 1e4, 0.0),
    "[pH]": ("acidity", 1.0, 0.0),
    "{NTU}": ("turbidity", 1.0, 0.0),
    "{PtCo}": ("colour", 1.0, 0.0),
    "mg/kg": ("mass fraction", 1.0, 0.0),
    "mmol/L": ("amount concentration", 1.0, 0.0),
    "m3": ("volume", 1.0, 0.0),
    "L": ("volume", 1e-3, 0.0),
    "mL": ("volume", 1e-6, 0.0),
    "kg": ("mass", 1.0, 0.0),
    "g": ("mass", 1e-3, 0.0),
    "t": ("mass", 1e3, 0.0),
    "Mbit/s": ("bit rate", 1.0, 0.0),
    "kbit/s": ("bit rate", 1e-3, 0.0),
    "bit/s": ("bit rate", 1e-6, 0.0),
    "MBy": ("storage", 1.0, 0.0),
    "kBy": ("storage", 1e-3, 0.0),
    "By": ("storage", 1e-6, 0.0),
    "GBy": ("storage", 1e3, 0.0),
    "kg/m3": ("mass concentration", 1e9, 0.0),
    "MHz": ("frequency", 1e6, 0.0),
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
    "inHg": "[in_i'Hg]", "F79": "[in_i'Hg]", "m³/d": "m3/d", "m3/day": "m3/d", "G52": "m3/d",
    "HN": "mm[Hg]",
    "sec": "s", "SEC": "s", "MIN": "min", "C26": "ms", "HUR": "h", "hour": "h",
    "kWh": "kW.h", "KWH": "kW.h", "Wh": "W.h", "WHR": "W.h", "mWh": "mW.h", "MWh": "MW.h", "MWH": "MW.h", "JOU": "J",
    "WTT": "W", "KWT": "kW", "MAW": "MW", "C31": "mW", "VAr": "var", "VAR": "var", "D44": "var",
    "kVAr": "kvar", "KVR": "kvar",
    "VLT": "V", "2Z": "mV", "KVT": "kV", "AMP": "A", "4K": "mA", "HTZ": "Hz", "KHZ": "kHz",
    "mi": "[mi_i]", "SMI": "[mi_i]", "mile": "[mi_i]", "miles": "[mi_i]",
    "m³/s": "m3/s", "MQS": "m3/s", "m³/h": "m3/h", "MQH": "m3/h", "l/s": "L/s", "G51": "L/s", "l/min": "L/min",
    "L2": "L/min",
    "ppt": "[ppth]", "‰": "[ppth]", "NX": "[ppth]", "psu": "[ppth]", "PSU": "[ppth]", "ppm": "[ppm]", "59": "[ppm]",
    "ppb": "[ppb]", "61": "[ppb]",
    "mg/l": "mg/L", "M1": "mg/L", "ug/l": "ug/L", "µg/L": "ug/L", "µg/l": "ug/L", "H29": "ug/L", "g/l": "g/L",
    "GL": "g/L", "A93": "g/m3", "KMQ": "kg/m3", "MHZ": "MHz", "2M": "cm/s",
    "C16": "mm/s", "H67": "mm/h", "DAY": "d", "day": "d", "days": "d",
    "bpm": "/min", "beat/min": "/min", "beats/min": "/min", "1/min": "/min", "rpm": "/min", "RPM": "/min",
    "C94": "/min", "fps": "Hz", "1/s": "Hz",
    "Ω": "Ohm", "ohm": "Ohm", "OHM": "Ohm", "kΩ": "kOhm", "B49": "kOhm",
    "VA": "V.A", "D46": "V.A", "kVA": "kV.A", "KVA": "kV.A", "kvarh": "kvar.h", "kVArh": "kvar.h", "K3": "kvar.h",
    "varh": "var.h", "VARh": "var.h",
    "m/s²": "m/s2", "MSK": "m/s2", "K40": "[g]",
    "dBA": "dB[SPL]", "dB(A)": "dB[SPL]", "dbA": "dB[SPL]", "dBC": "dB[SPL]", "dB(C)": "dB[SPL]", "2N": "dB",
    "lux": "lx", "LX": "lx", "Lux": "lx", "LUX": "lx", "KLX": "klx", "klux": "klx", "W/m²": "W/m2", "D54": "W/m2",
    "µmol/m²/s": "umol/(m2.s)", "umol/m2/s": "umol/(m2.s)", "µmol/(m²·s)": "umol/(m2.s)",
    "µS/cm": "uS/cm", "μS/cm": "uS/cm", "us/cm": "uS/cm", "G42": "uS/cm", "H61": "mS/cm", "D10": "S/m",
    "pH": "[pH]", "Q30": "[pH]", "NTU": "{NTU}", "FNU": "{NTU}", "FTU": "{NTU}",
    "Pt-Co": "{PtCo}", "PtCo": "{PtCo}", "Pt/Co": "{PtCo}", "NA": "mg/kg", "M33": "mmol/L", "mmol/l": "mmol/L",
    "m³": "m3", "MTQ": "m3", "l": "L", "LTR": "L", "liter": "L", "litre": "L", "ml": "mL", "MLT": "mL",
    "KGM": "kg", "GRM": "g", "TNE": "t",
    "Mbps": "Mbit/s", "E20": "Mbit/s", "kbps": "kbit/s", "C74": "kbit/s", "bps": "bit/s", "B10": "bit/s",
    "MB": "MBy", "4L": "MBy", "kB": "kBy", "2P": "kBy", "B": "By", "AD": "By", "GB": "GBy", "E34": "GBy",
}  # fmt: skip

# UCUM code: common code of UN/CEFACT recommendation 20, the unitCode of NGSI; None where the recommendation has none.
CEFACT: dict[str, str | None] = {
    "1": "C62", "%": "P1", "[ppth]": "NX", "[ppm]": "59", "[ppb]": "61",
    "Cel": "CEL", "[degF]": "FAH", "K": "KEL",
    "ug/m3": "GQ", "mg/m3": "GP", "ng/m3": None, "g/m3": "A93", "mg/L": "M1", "ug/L": "H29", "g/L": "GL",
    "kg/m3": "KMQ",
    "m/s": "MTS", "km/h": "KMH", "[mi_i]/h": "HM", "[kn_i]": "KNT", "cm/s": "2M", "mm/s": "C16", "mm/h": "H67",
    "deg": "DD", "rad": "C81",
    "m": "MTR", "mm": "MMT", "cm": "CMT", "km": "KMT", "[in_i]": "INH", "[ft_i]": "FOT", "[mi_i]": "SMI",
    "hPa": "A97", "Pa": "PAL", "kPa": "KPA", "mbar": "MBR", "bar": "BAR", "mm[Hg]": "HN", "[in_i'Hg]": "F79",
    "s": "SEC", "ms": "C26", "min": "MIN", "h": "HUR", "d": "DAY", "/min": "C94", "Hz": "HTZ", "kHz": "KHZ",
    "MHz": "MHZ",
    "kW.h": "KWH", "W.h": "WHR", "W.min": None, "mW.h": None, "MW.h": "MWH", "J": "JOU", "kvar.h": "K3", "var.h": None,
    "W": "WTT", "mW": "C31", "kW": "KWT", "MW": "MAW", "var": "D44", "kvar": "KVR", "V.A": "D46", "kV.A": "KVA",
    "V": "VLT", "mV": "2Z", "kV": "KVT", "A": "AMP", "mA": "4K", "Ohm": "OHM", "kOhm": "B49",
    "m3/s": "MQS", "m3/h": "MQH", "m3/d": "G52", "L/s": "G51", "L/min": "L2",
    "m/s2": "MSK", "[g]": "K40", "dB[SPL]": "2N", "dB": "2N",
    "lx": "LUX", "klx": "KLX", "W/m2": "D54", "umol/(m2.s)": None,
    "uS/cm": "G42", "mS/cm": "H61", "dS/m": None, "S/m": "D10",
    "[pH]": "Q30", "{NTU}": None, "{PtCo}": None, "mg/kg": "NA", "mmol/L": "M33",
    "m3": "MTQ", "L": "LTR", "mL": "MLT", "kg": "KGM", "g": "GRM", "t": "TNE",
    "Mbit/s": "E20", "kbit/s": "C74", "bit/s": "B10", "MBy": "4L", "kBy": "2P", "By": "AD", "GBy": "E34",
}  # fmt: skip

# UCUM code: as people write it on a screen, where that differs.
WRITTEN: dict[str, str] = {
    "ug/m3": "µg/m³", "Cel": "°C", "deg": "°", "m3/s": "m³/s", "m3/h": "m³/h", "m3": "m³", "kW.h": "kWh",
    "kvar.h": "kvarh", "V.A": "VA", "W/m2": "W/m²", "m/s2": "m/s²", "umol/(m2.s)": "µmol/(m²·s)", "uS/cm": "µS/cm",
    "[ppm]": "ppm", "[ppb]": "ppb", "[ppth]": "‰", "[pH]": "pH", "{NTU}": "NTU", "{PtCo}": "Pt-Co",
    "dB[SPL]": "dB", "mm[Hg]": "mmHg", "/min": "1/min", "MBy": "MB",
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
