"""What `dothi analytics compute` can reckon from a file: a module each, with a `KIND`; see kind.py."""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from dothi.computing.kind import Kind


@cache
def kinds() -> dict[str, Kind]:
    """Every `KIND` of a module of this folder, by its name."""
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    found = [module.KIND for module in modules if hasattr(module, "KIND")]
    return {kind.name: kind for kind in sorted(found, key=lambda kind: kind.name)}
