"""Names and units as stations of Circular 10/2021/TT-BTNMT write them: the symbols of annex 15 and other spellings."""

import unicodedata
from functools import lru_cache

# Symbol (our key: without comma or dot) → other spellings. Only letters and digits count, in either case.
_SPELLINGS: dict[str, str] = {
    "Flow": "flow luuluong q",
    "Temp": "temp temperature nhietdo t to",
    "Color": "color colour domau mau",
    "pH": "ph",
    "TSS": "tss ss",
    "COD": "cod",
    "BOD": "bod bod5",
    "NH4": "nh4 nh4+ nh4n nnh4 amoni ammonium",
    "TP": "tp tongp tongphospho totalp",
    "TN": "tn tongn tongnito totaln",
    "TOC": "toc",
    "DO": "do oxyhoatan oxihoatan",
    "Turb": "turb turbidity doduc duc",
    "EC": "ec dodandien dandien conductivity",
    "Cl": "cl cl2 clodu cldu",
    "RH": "rh doam humidity hum",
    "P": "p pressure apsuat khiap",
    "NO": "no",
    "NO2": "no2",
    "NOx": "nox",
    "CO": "co",
    "CO2": "co2",
    "SO2": "so2",
    "O2": "o2",
    "H2S": "h2s",
    "NH3": "nh3",
    "VHg": "vhg hg",
    "PM": "pm dust bui buitong tsp",
    "O3": "o3 ozon ozone",
    "PM10": "pm10",
    "PM25": "pm25",
    "PM1": "pm1",
    "WindSpd": "windspd windspeed ws tocdogio",
    "WindDir": "winddir winddirection wd huonggio",
    "Rain": "rain rainfall luongmua mua",
    "Level": "level waterlevel mucnuoc",
}

# Nm3 is the cubic metre at 25 °C and 760 mmHg of Vietnam's regulations (QCVN 19:2009/BTNMT, 1.3), the basis on which
# ambient concentrations are stated too (QCVN 05:2023/BTNMT): the number stays.
_UNITS: dict[str, str] = {
    "Cel": "oc c doc degc celsius",
    "%": "% %rh",
    "ug/m3": "ug/m3 ug/nm3 µg/m3 µg/nm3 μg/m3 μg/nm3 mcg/m3 microg/m3",
    "mg/m3": "mg/m3 mg/nm3",
    "ng/m3": "ng/m3 ng/nm3",
    "mg/L": "mg/l",
    "ug/L": "ug/l µg/l",
    "m3/h": "m3/h m3/gio m3/hr",
    "m3/s": "m3/s",
    "m3/d": "m3/d m3/day m3/ngay m3/ngaydem m3/ngđ m3/ng.đ m3/24h",
    "L/s": "l/s",
    "L/min": "l/min l/phut",
    "[pH]": "ph",
    "{PtCo}": "ptco pt-co co-pt pt/co tcu hazen",
    "{NTU}": "ntu fnu",
    "uS/cm": "us/cm µs/cm",
    "mS/cm": "ms/cm",
    "hPa": "hpa",
    "kPa": "kpa",
    "Pa": "pa",
    "mbar": "mbar",
    "bar": "bar",
    "mm[Hg]": "mmhg",
    "m/s": "m/s",
    "km/h": "km/h",
    "deg": "deg degree",
    "mm": "mm",
    "m": "m",
    "cm": "cm",
    "[ppm]": "ppm",
    "[ppb]": "ppb",
}


@lru_cache(4096)
def folded(text: str) -> str:
    """The text without case, accents, blanks and punctuation, so that spellings compare."""
    flat = unicodedata.normalize("NFKD", text[:80].casefold().replace("đ", "d"))
    return "".join(letter for letter in flat if letter.isalnum() or letter == "%")


SYMBOLS = {folded(word): key for key, words in _SPELLINGS.items() for word in (key, *words.split())}
UNIT_NAMES = {folded(word): key for key, words in _UNITS.items() for word in (key, *words.split())}
