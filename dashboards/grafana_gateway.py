"""A running Grafana as we need it: a handful of calls, and one clear line for everything that can go wrong."""

import re
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

Document = dict[str, Any]
T = TypeVar("T")
FIRST_VERSION = 9
TIMEOUT_S = 20.0
PAGE = 1000  # dashboards a search answers at most


class GrafanaRefused(Exception):
    """Grafana did not do what was asked; the message is what the user reads. The token is never in it."""


class Absent(Exception):
    """What was asked for is not there."""


class Gateway:
    """Calls to one organisation of a Grafana, with a token. Raises GrafanaRefused."""

    def __init__(self, url: str, token: str, timeout_s: float = TIMEOUT_S) -> None:
        """`url`: http(s)://host[:port][/path]."""
        from grafana_client.api import GrafanaApi

        self.url = url.rstrip("/")
        whole = f"{self.url}/" if urlsplit(url).path.strip("/") else self.url
        self._timeout_s = timeout_s
        self._api = GrafanaApi.from_url(whole, credential=token, timeout=timeout_s)

    def version(self) -> str:
        """The version of the server. Raises GrafanaRefused for one that is too old."""
        found = self._call("read its settings", lambda: self._api.client.GET("/frontend/settings"))
        version = str((found.get("buildInfo") or {}).get("version", "")) if isinstance(found, dict) else ""
        number = re.match(r"(\d+)", version)
        if not number:
            raise GrafanaRefused(f"{self.url} is no Grafana by its answer; give the address of its start page")
        if int(number[1]) < FIRST_VERSION:
            raise GrafanaRefused(f"{self.url} is Grafana {version}: too old, {FIRST_VERSION} or newer is needed")
        return version

    def close(self) -> None:
        """End the connections."""
        self._api.client.s.close()

    def get(self, path: str) -> Any:
        """A document. Raises Absent where there is none."""
        return self._call(f"read {path}", lambda: self._api.client.GET(path), absent=True)

    def boards(self, folder: str, tag: str) -> dict[str, str]:
        """The dashboards in a folder that carry a tag: uid → title."""
        found = self._call(
            "search dashboards", lambda: self._api.search.search_dashboards(tag=tag, type_="dash-db", limit=PAGE)
        )
        return {one["uid"]: one["title"] for one in found if one.get("folderUid") == folder}

    def save_folder(self, uid: str, title: str, known: bool) -> None:
        """Make a folder, or give it its title."""
        folders = self._api.folder
        if known:
            self._call(f"rename the folder {uid}", lambda: folders.update_folder(uid, title=title, overwrite=True))
        else:
            self._call(f"make the folder {uid}", lambda: folders.create_folder(title, uid=uid))

    def save_board(self, board: Document, folder: str) -> None:
        """Make or replace a dashboard."""
        whole = {
            "dashboard": board | {"id": None},
            "folderUid": folder,
            "overwrite": True,
            "message": "dothi dashboards apply",
        }
        self._call(f"save the dashboard {board['uid']}", lambda: self._api.dashboard.update_dashboard(whole))

    def save_source(self, source: Document, known: bool) -> None:
        """Make or replace a data source."""
        uid, sources = source["uid"], self._api.datasource
        if known:
            self._call(f"change the data source {uid}", lambda: sources.update_datasource_by_uid(uid, source))
        else:
            self._call(f"make the data source {uid}", lambda: sources.create_datasource(source))

    def save_rule(self, rule: Document, known: bool) -> None:
        """Make or replace an alert rule."""
        uid, alerting = rule["uid"], self._api.alertingprovisioning
        if known:
            self._call(f"change the alert rule {uid}", lambda: alerting.update_alertrule(uid, rule))
        else:
            self._call(f"make the alert rule {uid}", lambda: alerting.create_alertrule(rule))

    def save_contact(self, contact: Document, known: bool) -> None:
        """Make or replace a contact point."""
        uid, alerting = contact["uid"], self._api.alertingprovisioning
        if known:
            self._call(f"change the contact point {uid}", lambda: alerting.update_contactpoint(uid, contact))
        else:
            self._call(f"make the contact point {uid}", lambda: alerting.create_contactpoint(contact))

    def save_policies(self, tree: Document) -> None:
        """Replace the one tree of notification policies; people may still change it, as it is not ours alone."""
        alerting = self._api.alertingprovisioning
        self._call("change the policies", lambda: alerting.set_notification_policy_tree(tree, disable_provenance=True))

    def remove(self, kind: str, uid: str) -> None:
        """Take away a dashboard, an alert rule or a contact point."""
        take: Callable[[str], object] = {
            "dashboard": self._api.dashboard.delete_dashboard,
            "rule": self._api.alertingprovisioning.delete_alertrule,
            "contact": self._api.alertingprovisioning.delete_contactpoint,
        }[kind]
        self._call(f"remove the {kind} {uid}", lambda: take(uid))

    def _call(self, what: str, call: Callable[[], T], absent: bool = False) -> T:
        """One call; everything that can go wrong becomes a line."""
        from grafana_client.client import GrafanaClientError, GrafanaException, GrafanaTimeoutError
        from niquests.exceptions import RequestException

        try:
            return call()
        except GrafanaTimeoutError:
            raise GrafanaRefused(
                f"{self.url} did not answer within {self._timeout_s:g} s (to {what}); try again"
            ) from None
        except GrafanaException as error:
            if absent and isinstance(error, GrafanaClientError) and error.status_code == 404:
                raise Absent(what) from None
            raise GrafanaRefused(self._said(what, int(error.status_code or 0), answer_of(error))) from None
        except RequestException as error:
            raise GrafanaRefused(f"{self.url} cannot be reached: {reason(error)}; is the address right?") from None

    def _said(self, what: str, status: int, answer: str) -> str:
        """What an error status means, and what to do."""
        if status == 401:
            return f"{self.url} does not know the token; make one for a service account and give it by --token"
        if status == 403:
            needed = "the role Editor, and Admin for the data source"
            return f"the token may not {what} ({answer}); its service account needs {needed}"
        if "provision" in answer.lower():
            return f"Grafana refused to {what}: {answer}; it reads ours from files, so build the files instead"
        return f"Grafana refused to {what}: {answer or f'status {status}'}"


def answer_of(error: Any) -> str:
    """The sentence in an error's answer."""
    response = error.response
    said = response.get("message", response) if isinstance(response, dict) else response
    return " ".join(str(said or error.message or "").split())[:300]


def reason(error: BaseException) -> str:
    """The innermost reason of a connection that failed, in a few words."""
    text = str(error)
    found = re.search(
        r"(Connection refused|Name or service not known|No route to host|certificate verify failed)", text
    )
    return found[1] if found else " ".join(text.split())[:160] or type(error).__name__
