"""Where broker and database come from: the host's own, or Debian's packages unpacked into a private folder."""

from dothi.runtime.found import Runtime, Versions, find_runtime, look_for_runtime

__all__ = ["Runtime", "Versions", "find_runtime", "look_for_runtime"]
