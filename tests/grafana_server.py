"""Stands in for a Grafana's HTTP interface: keeps what it is given, takes only requests of the documented shapes.

Paths, parameters, request bodies and statuses were compared one by one with Grafana's published interface description:
public/api-merged.json of 13.0.0 (commit e9de482b), by way of grafana-openapi-client-go at 6029e6c, which is generated
from it. Bodies here are stricter than that description where it marks nothing as needed, never looser. Not described
there, and as real servers answer: GET /api/frontend/settings, 404 of a rule, a contact point or a data source that is
to be changed, 409 of one that files brought. What it answers differs from what it was given as a real one's does:
numbers, dates, origins, empty settings and durations of its own spelling.
"""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from jsonschema import Draft202012Validator

Document = dict[str, Any]
ADMIN, EDITOR, VIEWER = "token-of-admin", "token-of-editor", "token-of-viewer"
DURATION = r"^(\d+(ms|[smhdwy]))+$"


def shape(required: str, **properties: Document) -> Document:
    """An object with these keys and no other."""
    return {"type": "object", "required": required.split(), "additionalProperties": False, "properties": properties}


TEXT, YES, MAP, NUMBER = {"type": "string"}, {"type": "boolean"}, {"type": "object"}, {"type": "integer"}
TEXTS = {"type": "object", "additionalProperties": TEXT}
LIST = {"type": "array", "items": TEXT}
UID = {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,40}$"}
QUERY = shape(
    "refId datasourceUid model",
    refId=TEXT,
    queryType=TEXT,
    relativeTimeRange=shape("from to", **{"from": NUMBER, "to": NUMBER}),
    datasourceUid=TEXT,
    model=MAP,
)
ROUTE = shape(
    "",
    receiver=TEXT,
    group_by=LIST,
    group_wait={"type": "string", "pattern": DURATION},
    group_interval={"type": "string", "pattern": DURATION},
    repeat_interval={"type": "string", "pattern": DURATION},
    mute_time_intervals=LIST,
    active_time_intervals=LIST,
    matchers={"type": "array"},
    object_matchers={
        "type": "array",
        "items": {
            "type": "array",
            "prefixItems": [TEXT, {"enum": ["=", "!=", "=~", "!~"]}, TEXT],
            "minItems": 3,
            "maxItems": 3,
        },
    },
    routes={"type": "array", "items": {"$ref": "#/$defs/route"}},
    provenance=TEXT,
    **{"continue": YES},
)
SHAPES: dict[str, Document] = {
    "POST folders": shape("title", title=TEXT, uid=TEXT, parentUid=TEXT, description=TEXT),
    "PUT folders": shape("", title=TEXT, version=NUMBER, overwrite=YES, description=TEXT),
    "POST dashboards": shape(
        "dashboard", dashboard=MAP, folderUid=TEXT, folderId=NUMBER, overwrite=YES, message=TEXT, isFolder=YES
    ),
    "POST datasources": shape(
        "name type access",
        name=TEXT,
        uid=TEXT,
        type=TEXT,
        access={"enum": ["proxy", "direct"]},
        url=TEXT,
        user=TEXT,
        database=TEXT,
        basicAuth=YES,
        isDefault=YES,
        withCredentials=YES,
        jsonData=MAP,
        secureJsonData=TEXTS,
        version=NUMBER,
    ),
    "POST alert-rules": shape(
        "title ruleGroup folderUID condition data noDataState execErrState for orgID",
        uid=UID,
        orgID=NUMBER,
        title={"type": "string", "minLength": 1, "maxLength": 190},
        ruleGroup={"type": "string", "minLength": 1, "maxLength": 190},
        folderUID=TEXT,
        condition=TEXT,
        data={"type": "array", "items": QUERY, "minItems": 1},
        noDataState={"enum": ["Alerting", "NoData", "OK"]},
        execErrState={"enum": ["OK", "Alerting", "Error"]},
        annotations=TEXTS,
        labels=TEXTS,
        isPaused=YES,
        id=NUMBER,
        keep_firing_for={"type": "string", "pattern": DURATION},
        missingSeriesEvalsToResolve=NUMBER,
        notification_settings=MAP,
        record=MAP,
        provenance=TEXT,
        **{"for": {"type": "string", "pattern": DURATION}},
    ),
    "POST contact-points": shape(
        "name type settings", uid=UID, name=TEXT, type={"enum": ["email", "webhook"]}, settings=MAP,
        disableResolveMessage=YES, provenance=TEXT,
    ),
    "PUT policies": ROUTE | {"$defs": {"route": ROUTE}},
}  # fmt: skip
STATUS = {
    "POST alert-rules": 201,
    "DELETE alert-rules": 204,
    "POST contact-points": 202,
    "PUT contact-points": 202,
    "DELETE contact-points": 202,
    "PUT policies": 202,
}
"""Where success is not 200."""
PARAMETERS = {
    "search": {"query", "tag", "type", "dashboardUIDs", "folderUIDs", "starred", "limit", "page", "permission", "sort"}
}
"""Of paths that take any."""
SHAPES |= {f"PUT {name}": SHAPES[f"POST {name}"] for name in ("datasources", "alert-rules", "contact-points")}


class Refusal(Exception):
    """An answer with an error status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Contract:
    """The state of the server, and what it does with a request."""

    def __init__(self, version: str = "12.4.1") -> None:
        self.version = version
        self.folders: dict[str, Document] = {}
        self.boards: dict[str, Document] = {}
        self.datasources: dict[str, Document] = {}
        self.secrets: dict[str, dict[str, str]] = {}
        self.rules: dict[str, Document] = {}
        self.contacts: dict[str, Document] = {
            "default": {"uid": "default", "name": "grafana-default-email", "type": "email"}
        }
        self.policies: Document = {"receiver": "grafana-default-email", "group_by": ["grafana_folder", "alertname"]}
        self.provisioned: set[str] = set()  # uids that came from files
        self.written: list[str] = []
        self.break_after: int | None = None  # so many writes succeed, then it fails
        self.slow_s = 0.0

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any, token: str) -> Any:
        """The answer to a request. Raises Refusal."""
        time.sleep(self.slow_s)
        if token not in (ADMIN, EDITOR, VIEWER):
            raise Refusal(401, "Invalid API key")
        parts = path.removeprefix("/api/").removeprefix("v1/provisioning/").split("/")
        if unknown := set(query) - PARAMETERS.get(parts[0], set()):
            raise Refusal(400, f"unknown parameter {min(unknown)}")
        if method != "GET":
            self.may(method, parts, body, token)
        handle = getattr(self, f"{method.lower()}_{parts[0].replace('-', '_')}", None)
        if handle is None:
            raise Refusal(404, "Not found")
        made = handle(parts[-1] if len(parts) > 1 else "", body, query)
        if method != "GET":
            self.written.append(f"{method} {path}")
        return made

    def may(self, method: str, parts: list[str], body: Any, token: str) -> None:
        """Rights, then the documented shape of the body."""
        if token == VIEWER or (token == EDITOR and parts[0] == "datasources"):
            raise Refusal(
                403, f"You'll need additional permissions to perform this action. Permissions needed: {parts[0]}:write"
            )
        if self.break_after is not None:
            if self.break_after == 0:
                raise Refusal(500, "database is locked")
            self.break_after -= 1
        if method in ("POST", "PUT"):
            faults = [error.message for error in Draft202012Validator(SHAPES[f"{method} {parts[0]}"]).iter_errors(body)]
            if faults:
                raise Refusal(400, f"bad request data: {faults[0][:200]}")

    def get_frontend(self, *_: Any) -> Any:
        return {"buildInfo": {"version": self.version, "edition": "Open Source"}}

    def get_folders(self, uid: str, *_: Any) -> Any:
        return found(self.folders, uid, "folder not found")

    def post_folders(self, _: str, body: Document, *__: Any) -> Any:
        if body.get("uid") in self.folders:
            raise Refusal(409, "a folder with the same uid already exists")
        self.folders[body["uid"]] = {"id": len(self.folders) + 1, "version": 1, **body}
        return self.folders[body["uid"]]

    def put_folders(self, uid: str, body: Document, *_: Any) -> Any:
        folder = found(self.folders, uid, "folder not found")
        folder["title"] = body["title"]
        return folder

    def get_search(self, _: str, __: Any, query: dict[str, list[str]]) -> Any:
        wanted = set(query.get("tag", []))
        tagged = {uid: one for uid, one in self.boards.items() if wanted <= set(one["dashboard"].get("tags", []))}
        return [
            {"id": 1, "uid": uid, "title": one["dashboard"]["title"], "type": "dash-db"}
            | ({"folderUid": one["folder"]} if one["folder"] else {})
            for uid, one in tagged.items()
        ]

    def get_dashboards(self, uid: str, *_: Any) -> Any:
        one = found(self.boards, uid, "Dashboard not found")
        return {
            "dashboard": one["dashboard"],
            "meta": {"folderUid": one["folder"], "provisioned": uid in self.provisioned},
        }

    def post_dashboards(self, _: str, body: Document, *__: Any) -> Any:
        board = body["dashboard"]
        uid = board["uid"]
        if uid in self.provisioned:
            raise Refusal(400, "Cannot save provisioned dashboard")
        if uid in self.boards and not body.get("overwrite"):
            raise Refusal(412, "The dashboard has been changed by someone else")
        if body.get("folderUid") and body["folderUid"] not in self.folders:
            raise Refusal(400, "folder not found")
        version = self.boards[uid]["dashboard"]["version"] + 1 if uid in self.boards else 1
        self.boards[uid] = {"dashboard": {**board, "id": 7, "version": version}, "folder": body.get("folderUid", "")}
        title = board["title"]
        return {"uid": uid, "status": "success", "title": title, "version": version, "url": f"/d/{uid}", "id": 7}

    def delete_dashboards(self, uid: str, *_: Any) -> Any:
        found(self.boards, uid, "Dashboard not found")
        title = self.boards.pop(uid)["dashboard"]["title"]
        return {"uid": uid, "title": title, "message": f"Dashboard {title} deleted"}

    def get_datasources(self, uid: str, *_: Any) -> Any:
        return found(self.datasources, uid, "data source not found")

    def post_datasources(self, _: str, body: Document, *__: Any) -> Any:
        if any(one["name"] == body["name"] for one in self.datasources.values()):
            raise Refusal(409, "data source with the same name already exists")
        return self.put_source(body)

    def put_datasources(self, uid: str, body: Document, *_: Any) -> Any:
        if uid in self.provisioned:
            raise Refusal(403, "Cannot update read-only data source: provisioned")
        found(self.datasources, uid, "data source not found")
        return self.put_source(body)

    def put_source(self, body: Document) -> Any:
        shown = {key: value for key, value in body.items() if key != "secureJsonData"}
        self.secrets[body["uid"]] = body.get("secureJsonData", {})
        secret = dict.fromkeys(self.secrets[body["uid"]], True)
        self.datasources[body["uid"]] = {"id": 1, "orgId": 1, "basicAuth": False, **shown, "secureJsonFields": secret}
        return {"id": 1, "name": body["name"], "message": "saved", "datasource": self.datasources[body["uid"]]}

    def get_alert_rules(self, *_: Any) -> Any:
        return list(self.rules.values())

    def post_alert_rules(self, _: str, body: Document, *__: Any) -> Any:
        if body.get("uid") in self.rules:
            raise Refusal(409, "rule with the uid already exists")
        return self.put_rule(body)

    def put_alert_rules(self, uid: str, body: Document, *_: Any) -> Any:
        found(self.rules, uid, "")
        if uid in self.provisioned:
            raise Refusal(409, "cannot change provenance from 'file' to 'api': provisioned")
        return self.put_rule(body)

    def put_rule(self, body: Document) -> Any:
        if body["folderUID"] not in self.folders:
            raise Refusal(400, "folder not found")
        if any(r["title"] == body["title"] and r["uid"] != body["uid"] for r in self.rules.values()):
            raise Refusal(409, "a rule with this title exists in the folder")
        spelt = re.sub(r"^(\d+m)$", r"\g<1>0s", body["for"])
        own = {"id": 1, "updated": "2026-01-01T00:00:00Z", "provenance": "api", "record": None}
        self.rules[body["uid"]] = {**body, "for": spelt, **own}
        return self.rules[body["uid"]]

    def delete_alert_rules(self, uid: str, *_: Any) -> Any:
        self.rules.pop(uid, None)

    def get_contact_points(self, *_: Any) -> Any:
        return list(self.contacts.values())

    def post_contact_points(self, _: str, body: Document, *__: Any) -> Any:
        self.contacts[body["uid"]] = {**body, "provenance": "api"}
        return self.contacts[body["uid"]]

    def put_contact_points(self, uid: str, body: Document, *_: Any) -> Any:
        found(self.contacts, uid, "contact point not found")
        return self.post_contact_points("", body)

    def delete_contact_points(self, uid: str, *_: Any) -> Any:
        name = found(self.contacts, uid, "contact point not found")["name"]
        alone = sum(one["name"] == name for one in self.contacts.values()) == 1
        if alone and name in receivers(self.policies):
            raise Refusal(409, "contact point is in use by a notification policy")
        del self.contacts[uid]
        return {"message": "contactpoint deleted"}

    def get_policies(self, *_: Any) -> Any:
        return {**self.policies, "provenance": ""}

    def put_policies(self, _: str, body: Document, *__: Any) -> Any:
        names = {one["name"] for one in self.contacts.values()}
        if unknown := receivers(body) - names:
            raise Refusal(400, f"receiver {min(unknown)} does not exist")
        self.policies = body
        return {"message": "policies updated"}


def receivers(route: Document) -> set[str]:
    """The contact points that a policy tree leads to."""
    return {route["receiver"]}.union(*(receivers(one) for one in route.get("routes", [])))


def found(place: dict[str, Document], uid: str, message: str) -> Document:
    """What has a uid. Raises Refusal."""
    if uid not in place:
        raise Refusal(404, message)
    return place[uid]


class Handler(BaseHTTPRequestHandler):
    """HTTP around a contract."""

    contract: Contract
    prefix: str

    def serve(self) -> None:
        """One request."""
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        try:
            if not parts.path.startswith(f"{self.prefix}/api/"):
                raise Refusal(404, "Not found")
            path = parts.path.removeprefix(self.prefix)
            said = self.contract.answer(self.command, path, parse_qs(parts.query), body, token)
            status = STATUS.get(f"{self.command} {path.removeprefix('/api/v1/provisioning/').split('/')[0]}", 200)
        except Refusal as refusal:
            status, said = refusal.status, {"message": str(refusal)}
        text = b"" if said is None else json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_DELETE = serve  # noqa: N815 - the names that http.server asks for

    def log_message(self, *_: object) -> None:
        """Nothing is written down."""


@contextmanager
def serving(contract: Contract, prefix: str = "") -> Iterator[str]:
    """The contract on a free port; its address."""
    handler = type("Bound", (Handler,), {"contract": contract, "prefix": prefix})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{prefix}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
