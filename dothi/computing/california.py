"""`california`: occupancies of two neighbouring stations, interval by interval → states of California #7 and #8."""

import numpy as np

from analytics.indices.california import Thresholds, begin, incident, step
from dothi.computing.kind import Column, Columns, Kind, Options, Result

WORDS = ("free", "tentative", "confirmed", "continuing", *5 * ("wave",))


def reckon(columns: Columns, options: Options) -> list[Result]:
    """One result per interval, in the order of the rows."""
    seven, eight, asked, results = begin(1), begin(1), Thresholds(), []
    for upstream, downstream in zip(columns["upstream"], columns["downstream"], strict=True):
        pair = np.array([100.0 * upstream]), np.array([100.0 * downstream])
        seven, eight = step(seven, *pair, asked, eight=False), step(eight, *pair, asked, eight=True)
        results.append(
            {
                "state_7": WORDS[seven.state[0]],
                "incident_7": bool(incident(seven.state)[0]),
                "state_8": WORDS[eight.state[0]],
                "incident_8": bool(incident(eight.state)[0]),
            }
        )
    return results


KIND = Kind(
    "california",
    "incident between two stations at most 500 m apart, by the California algorithms #7 and #8",
    (
        Column("upstream", says="occupancy, 0 to 1, one row per interval of 30 to 60 s", low=0.0, high=1.0, gaps=True),
        Column("downstream", says="occupancy at the same time", low=0.0, high=1.0, gaps=True),
    ),
    (
        Column("state_7", says="free, tentative, confirmed or continuing"),
        Column("incident_7"),
        Column("state_8", says="also wave, for five intervals after a compression wave"),
        Column("incident_8"),
    ),
    reckon,
)
