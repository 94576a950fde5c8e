"""A dashboard from its panels: uid, time, refresh, the variable of provinces, the link to the other language."""

import json

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as grafana

from dashboards.vocabulary import Source
from dashboards.words import Words

TIMEZONE = "Asia/Ho_Chi_Minh"
REFRESH = "30s"


def selector(words: Words, name: str, sql: str, source: Source, first: str) -> grafana.VariableModel:
    """A variable that allows several of the choices that a query gives; `first` is chosen to begin with."""
    return grafana.VariableModel(
        type_val=grafana.VariableType.QUERY,
        name=name,
        label=words(name),
        query=sql,
        definition=sql,
        datasource=source.ref,
        current=grafana.VariableOption(selected=True, text=[words(f"{name}.{first}")], value=[first]),
        multi=True,
        include_all=True,
        allow_custom_value=False,
        refresh=grafana.VariableRefresh.ON_DASHBOARD_LOAD,
        sort=grafana.VariableSort.DISABLED,
    )


def other_language(words: Words, stem: str) -> grafana.DashboardLink:
    """The way to the same dashboard in the other language, with time range and choices kept."""
    link = grafana.DashboardLink(
        title=words("other_language"),
        type_val=grafana.DashboardLinkType.LINK,
        url=f"/d/{words.other.uid(stem)}",
        keep_time=True,
        include_vars=True,
    )
    # The SDK would move every link into a menu; on a wall it must be in sight.
    link.placement = None  # type: ignore[assignment]
    return link


def board(
    words: Words, stem: str, key: str, variables: list[grafana.VariableModel], panels: list[grafana.Panel]
) -> grafana.Dashboard:
    """A dashboard; panels are numbered in the order in which they are given."""
    for number, panel in enumerate(panels, start=1):
        panel.id_val = number
    return grafana.Dashboard(
        uid=words.uid(stem),
        title=words(f"{key}.title"),
        description=words(f"{key}.about"),
        tags=["dothi", words.language],
        timezone=TIMEZONE,
        week_start="monday",
        editable=False,
        refresh=REFRESH,
        time=grafana.DashboardDashboardTime(from_val="now-3h", to="now"),
        timepicker=grafana.TimePickerConfig(refresh_intervals=["10s", "30s", "1m", "5m", "15m"]),
        graph_tooltip=grafana.DashboardCursorSync.CROSSHAIR,
        templating=grafana.DashboardDashboardTemplating(list_val=variables),
        annotations=grafana.AnnotationContainer(list_val=[]),
        links=[other_language(words, stem)],
        panels=list(panels),
    )


def as_json(built: grafana.Dashboard) -> str:
    """The file that Grafana reads: the same dashboard always gives the same bytes."""
    return json.dumps(built, cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
