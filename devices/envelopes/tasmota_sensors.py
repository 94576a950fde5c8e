"""A Tasmota status → one flat document: quantities by their own names, whatever sensor has them; phases summed."""

from typing import Any

# fmt: off
QUANTITIES = frozenset((
    "Temperature", "Humidity", "DewPoint", "Pressure", "SeaPressure", "Illuminance", "Light", "Ambient", "Broadband",
    "UvLevel", "UvIndex", "UvPower", "CarbonDioxide", "eCO2", "TVOC", "PM1", "PM2.5", "PM10", "PM2_5", "CF1", "CF2.5",
    "CF10", "Gas", "Distance", "WaterLevel", "Noise", "Speed", "Direction", "Gust", "Moisture", "Conductivity", "EC",
    "pH", "Weight", "Rain", "RainRate", "Presence", "Motion", "Occupancy", "Battery", "BatteryPercentage",
    "Formaldehyde", "NO2", "SO2", "O3", "CO", "NH3", "H2S", "Latitude", "Longitude", "Altitude",
))
# fmt: on
"""What sensor drivers report under these names (https://tasmota.github.io/docs/Supported-Peripherals/)."""
_UNITS = {
    "TempUnit": ("Temperature", "DewPoint"),
    "PressureUnit": ("Pressure", "SeaPressure"),
    "SpeedUnit": ("Speed", "Gust"),
}
_CHIPS = ("ESP32", "ESP8266")
_SUMMED = (
    "Power",
    "ApparentPower",
    "ReactivePower",
    "Current",
    "Total",
    "ExportActive",
    "Today",
    "Yesterday",
    "Period",
)
_STATES = ("POWER", "Switch", "SWITCH", "Button", "COUNTER", "ANALOG", "ENERGY")


def flattened(status: dict[str, Any]) -> dict[str, Any]:
    """The status with each quantity at the top, from the first sensor that has it; what other sensors say stays below
    their names, and `sensor` tells which one spoke for a quantity.

    `unitCode` gives the units that the status states for all its sensors.
    """
    flat: dict[str, Any] = {}
    spoke: dict[str, str] = {}
    for name, said in status.items():
        if name == "ENERGY" and isinstance(said, dict):
            flat |= energy(said)
        elif isinstance(said, dict) and name not in _CHIPS:
            rest = {}
            for key, value in said.items():
                if key.rstrip("0123456789") in QUANTITIES or key in QUANTITIES:
                    own = key if key in QUANTITIES else key.rstrip("0123456789")
                    if own not in spoke and value is not None:
                        flat[own], spoke[own] = value, name
                        continue
                rest[key] = value
            if rest:
                flat[name] = rest
        else:
            flat[name] = said
    units = {key: flat[unit] for unit, keys in _UNITS.items() for key in keys if isinstance(flat.get(unit), str)}
    used = {key: unit for key, unit in units.items() if key in flat}
    return {**flat, **({"unitCode": used} if used else {}), **({"sensor": spoke} if spoke else {})}


def energy(said: dict[str, Any]) -> dict[str, Any]:
    """The `ENERGY` object with one number a quantity: phases summed where they add up, else the first phase; the
    phases as they came stay under `phases`."""
    one: dict[str, Any] = {}
    phases: dict[str, Any] = {}
    for name, value in said.items():
        if isinstance(value, dict):
            value = list(value.values())
        if not isinstance(value, list):
            one[name] = value
            continue
        phases[name] = value
        numbers = [number for number in value if isinstance(number, int | float) and not isinstance(number, bool)]
        if numbers:
            one[name] = round(sum(numbers), 6) if name in _SUMMED else numbers[0]
    if "Factor" in phases and one.get("ApparentPower"):
        one["Factor"] = power_factor(one)
    return {"ENERGY": one, **({"phases": phases} if phases else {})}


def power_factor(one: dict[str, Any]) -> float | None:
    """Active by apparent power of all phases; None when they make none."""
    active, apparent = one.get("Power"), one["ApparentPower"]
    if not isinstance(active, int | float) or not isinstance(apparent, int | float) or abs(active) > abs(apparent):
        return None
    return round(active / apparent, 4)


def measures(flat: dict[str, Any], kind: str) -> bool:
    """Whether a document holds something that a device measures or switches. Of a periodic `STATE` only the relay
    speaks of the world."""
    if kind == "RESULT":
        return "ENERGY" in flat or "sensor" in flat or any(name.startswith("POWER") for name in flat)
    return "sensor" in flat or any(name.startswith(_STATES) for name in flat)
