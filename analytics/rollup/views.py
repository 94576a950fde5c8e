"""Views over rollups: closed buckets from the tables, open ones from finer rows, switched by `rollup.closed`."""

from psycopg import sql

from analytics.rollup.body import AHEAD, Place, bucket_body, closed_until, place, readings_body
from analytics.rollup.opened import opened_area_body, opened_body
from analytics.rollup.shape import area_columns, gauges_only, shown, stored_columns, summed_columns
from analytics.rollup.width import DAY, HOUR, MINUTE, Width, stored_widths
from devices.family import Family
from devices.relations import ViewBody

Expressions = dict[str, sql.Composable]

JOINED = sql.SQL("registry.device d join registry.profile p on p.id = d.profile and p.family = {family}")


def family_views(family: Family) -> dict[str, ViewBody]:
    """The views of one family: minutes, hours, days, and hours and days of areas."""
    stored = stored_widths(family)
    views = {f"{family.name}_{width.name}": device_view(family, width) for width in stored}
    if MINUTE not in stored:
        views[f"{family.name}_1m"] = minute_view(family)
    areas = {f"{family.name}_area_{width.name}": area_view(family, width) for width in (HOUR, DAY)}
    return views | areas


def device_view(family: Family, width: Width) -> ViewBody:
    """city.<family>_<width>: one row per bucket, device and area."""
    # Each half joins the registry itself: so a device asked for by name reaches the keys of both.
    closed = sql.SQL(
        "select {shown} from {table} x join registry.device d on d.id = x.device "
        "join registry.profile p on p.id = d.profile join registry.area a on a.id = x.area where x.bucket < {until}"
    ).format(
        shown=select_list(device_columns(family, width, sql.SQL("x.bucket"))),
        table=sql.Identifier("rollup", f"{family.name}_{width.name}"),
        until=closed_until(family, width),
    )
    # Bucket by bucket, not grouped by time: a query about closed buckets then asks no device for its open ones.
    opened = sql.SQL("select {shown} from {open_rows} join registry.area a on a.id = x.area").format(
        shown=select_list(device_columns(family, width, sql.SQL("o.bucket"))),
        open_rows=open_rows(
            family, width, closed_until(family, width), bucket_body(family, width, open_place(width), opened_body)
        ),
    )
    return united(device_columns(family, width, sql.SQL("x.bucket")), closed, opened)


def device_columns(family: Family, width: Width, bucket: sql.Composable) -> Expressions:
    """View column → expression over x (stored columns), d, p and a."""
    return {
        "bucket": bucket,
        "device": sql.SQL("d.device"),
        "area": sql.SQL("a.code"),
        "n": sql.SQL("x.n"),
        "complete": complete(width),
    } | shown(family, "x")


def complete(width: Width) -> sql.Composable:
    """The share of the readings that the profile p lets expect which are there in a row x."""
    return sql.SQL("least(1, x.n * p.interval_s / {})").format(sql.Literal(width.seconds))


def open_rows(family: Family, width: Width, since: sql.Composable, body: sql.Composable) -> sql.Composable:
    """From-items o (bucket), d, p and x (a `body` of columns) of the buckets from `since` on."""
    return sql.SQL(
        "generate_series({until}, {ahead}, {step}) o(bucket) cross join ({joined}) cross join lateral ({body}) x"
    ).format(
        until=since,
        ahead=AHEAD,
        step=width.interval,
        joined=JOINED.format(family=sql.Literal(family.name)),
        body=body,
    )


def open_place(width: Width) -> Place:
    """A bucket of `open_rows`."""
    return place("d.id", "o.bucket", "p", width)


def minute_view(family: Family) -> ViewBody:
    """city.<family>_1m from readings alone: cheap for one device and a range of time."""
    bucket = MINUTE.start(sql.SQL("r.time"))
    table = sql.Identifier("reading", family.name)
    if gauges_only(family):
        body = sql.SQL(
            "select {bucket} as bucket, r.area, count(*)::integer as n, {columns} from {table} r "
            "where r.device = d.id group by 1, 2"
        ).format(
            bucket=bucket,
            table=table,
            columns=sql.SQL(", ").join(
                sql.SQL("{} as {}").format(c.read, sql.Identifier(c.name)) for c in stored_columns(family)
            ),
        )
    else:
        body = sql.SQL(
            "select m.bucket, y.* from (select {bucket} as bucket from {table} r where r.device = d.id group by 1) m "
            "cross join lateral ({body}) y"
        ).format(bucket=bucket, table=table, body=readings_body(family, place("d.id", "m.bucket", "p", MINUTE)))
    text = "from {joined} cross join lateral ({body}) x join registry.area a on a.id = x.area"
    source = sql.SQL(text).format(joined=JOINED.format(family=sql.Literal(family.name)), body=body)
    return device_columns(family, MINUTE, sql.SQL("x.bucket")), source


def area_view(family: Family, width: Width) -> ViewBody:
    """city.<family>_area_<width>: all devices of an area together, one row per bucket and area."""
    columns = area_view_columns(family)
    until = closed_until(family, width)
    closed = sql.SQL(
        "select {shown} from {table} x join registry.area a on a.id = x.area where x.bucket < {until}"
    ).format(
        shown=select_list(columns), table=sql.Identifier("rollup", f"{family.name}_area_{width.name}"), until=until
    )
    written = sql.SQL(
        "select {shown} from (select o.bucket, o.area, o.devices, o.n, o.filled, {sums} from rollup.area_open o "
        "where o.family = {family} and o.width = {width} and o.bucket >= {until} and o.bucket < {known}) x "
        "join registry.area a on a.id = x.area"
    ).format(
        shown=select_list(columns),
        sums=sql.SQL(", ").join(
            sql.SQL("(o.sums ->> {})::{} as {}").format(
                sql.Literal(c.name), sql.SQL(area_columns(family)[c.name]), sql.Identifier(c.name)
            )
            for c in summed_columns(family)
        ),
        family=sql.Literal(family.name),
        width=sql.Literal(width.name),
        until=until,
        known=area_known_until(family, width),
    )
    added_up = sql.SQL(
        "select {shown} from (select o.bucket, x.area, count(*) as devices, sum({complete}) as filled, "
        "sum(x.n) as n, {sums} from {open_rows} where {known} <= {ahead} group by o.bucket, x.area) x "
        "join registry.area a on a.id = x.area"
    ).format(
        shown=select_list(columns),
        complete=complete(width),
        sums=sql.SQL(", ").join(
            sql.SQL("{}(x.{name}) as {name}").format(sql.SQL(c.join), name=sql.Identifier(c.name))
            for c in summed_columns(family)
        ),
        open_rows=open_rows(
            family, width, area_known_until(family, width), opened_area_body(family, width, open_place(width))
        ),
        known=area_known_until(family, width),  # asked before any device is looked at
        ahead=AHEAD,
    )
    return united(columns, closed, written, added_up)


def area_known_until(family: Family, width: Width) -> sql.Composable:
    """Up to where buckets of areas are closed or in rollup.area_open; asked once per statement."""
    return sql.SQL(
        "greatest({}, (select s.until from rollup.area_open_state s where s.family = {} and s.width = {} "
        "and s.as_of > now() - interval '10 minutes'))"
    ).format(closed_until(family, width), sql.Literal(family.name), sql.Literal(width.name))


def area_view_columns(family: Family) -> Expressions:
    """View column → expression over x (a row of an area) and a."""
    states = {metric.name for metric in family.metrics if metric.kind == "state"}
    metrics = {
        name: value
        for name, value in shown(family, "x").items()
        if not any(name in (f"{state}_share", f"{state}_known_s", f"{state}_n") for state in states)
    }
    return {
        "bucket": sql.SQL("x.bucket"),
        "area": sql.SQL("a.code"),
        "devices": sql.SQL("x.devices::integer"),
        "n": sql.SQL("x.n::bigint"),
        "complete": sql.SQL("x.filled / x.devices"),
    } | metrics


def select_list(expressions: Expressions) -> sql.Composable:
    """Named entries of a select list."""
    return sql.SQL(", ").join(
        sql.SQL("{} as {}").format(value, sql.Identifier(name)) for name, value in expressions.items()
    )


def united(columns: Expressions, *parts: sql.Composable) -> ViewBody:
    """All parts as one view."""
    outer: Expressions = {name: sql.Identifier("r", name) for name in columns}
    return outer, sql.SQL("from ({}) r").format(sql.SQL(" union all ").join(parts))
