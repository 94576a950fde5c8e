"""What is made of closed hours and days, or every few minutes, rather than of each reading; see bulletin.py."""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from analytics.bulletins.bulletin import Index


@cache
def all_indices() -> tuple[type[Index], ...]:
    """Every class that a module of this folder names in its `INDICES`, by name."""
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    found = [index for module in modules for index in getattr(module, "INDICES", ())]
    return tuple(sorted(found, key=lambda index: index.name))
