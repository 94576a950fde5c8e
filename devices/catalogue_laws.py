"""What all profiles together must keep to: each is told from every other."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator

from devices.profile import Profile


def catalogue_problems(profiles: Iterable[Profile]) -> Iterator[str]:
    """Profiles that people or messages cannot tell apart."""
    catalogue = list(profiles)
    for name in alike(catalogue, lambda profile: profile.name.replace("-", "").replace("_", "").lower()):
        yield f"ids differ by hyphens or case alone: {name}"
    for name in alike(catalogue, lambda profile: profile.model and (profile.route, profile.vendor, profile.model)):
        yield f"the same model of the same maker on the same route: {name}"
    for language in ("vi", "en"):
        for name in alike(catalogue, lambda profile, at=language: profile.title[at]):  # type: ignore[misc]
            yield f"the same title.{language}: {name}"


def alike(profiles: list[Profile], trait: Callable[[Profile], Hashable]) -> list[str]:
    """The names of profiles that share a trait, joined; those without it share nothing."""
    groups: dict[Hashable, list[str]] = defaultdict(list)
    for profile in profiles:
        if trait(profile) is not None:
            groups[trait(profile)].append(profile.name)
    return [", ".join(sorted(names)) for names in groups.values() if len(names) > 1]
