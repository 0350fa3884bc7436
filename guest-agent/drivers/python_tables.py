"""Data frames as JSON: {"schema": {"fields": [{"name", "type"}]}, "data": [{column: value}], "total_rows": n}.

That is the table schema which notebooks know as application/vnd.dataresource+json, of the first rows.
"""

import json
import warnings

from IPython.core.formatters import BaseFormatter
from traitlets import ObjectName, Unicode

MIME_TYPE = "application/vnd.dataresource+json"
ROWS_MAX = 1000
BYTES_MAX = 4 << 20

POLARS_TYPES = (("Int", "integer"), ("UInt", "integer"), ("Float", "number"), ("Decimal", "number"),
                ("Boolean", "boolean"), ("Datetime", "datetime"), ("Date", "date"), ("Duration", "duration"))


class TableFormatter(BaseFormatter):
    format_type = Unicode(MIME_TYPE)
    _return_type = str
    print_method = ObjectName("_repr_dataresource_")  # IPython's own default is __repr__


def fitting(total, render):
    """The text that render(rows) gives for as many rows as fit into the limit."""
    rows = min(total, ROWS_MAX)
    while True:
        text = render(rows)
        if len(text) <= BYTES_MAX or rows == 0:
            return text
        rows //= 2


def pandas_table(frame):
    def render(rows):
        head = frame.head(rows)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about names that could not be read back
                table = json.loads(head.to_json(orient="table", date_format="iso", default_handler=str))
            schema, data = table["schema"], table["data"]
        except (ValueError, TypeError, NotImplementedError, OverflowError, AttributeError, KeyError):
            # Columns that the schema cannot say: several levels, or a name twice.
            names = [str(name) for name in head.columns]
            schema = {"fields": [{"name": name, "type": "any"} for name in names]}
            data = [dict(zip(names, map(plain, row))) for row in head.itertuples(index=False, name=None)]
        return dump(schema, data, len(frame))

    return fitting(len(frame), render)


def polars_table(frame):
    fields = [{"name": name, "type": polars_type(str(kind))} for name, kind in frame.schema.items()]

    def render(rows):
        return dump({"fields": fields}, frame.head(rows).to_dicts(), frame.height)

    return fitting(frame.height, render)


def polars_type(kind):
    return next((name for prefix, name in POLARS_TYPES if kind.startswith(prefix)), "string")


def plain(value):
    """A value that JSON holds."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if value == value and value not in (float("inf"), float("-inf")) else None
    if hasattr(value, "item"):
        return plain(value.item()) if not isinstance(value.item(), type(value)) else str(value)
    return str(value)


def dump(schema, data, total):
    rows = [{name: plain(value) for name, value in row.items()} for row in data]
    return json.dumps({"schema": schema, "data": rows, "total_rows": total}, ensure_ascii=False)


def register(display_formatter):
    """Adds the type for both kinds of frame, none of which is imported for that."""
    formatter = TableFormatter(parent=display_formatter)
    formatter.for_type_by_name("pandas", "DataFrame", pandas_table)
    formatter.for_type_by_name("pandas.core.frame", "DataFrame", pandas_table)
    formatter.for_type_by_name("polars.dataframe.frame", "DataFrame", polars_table)
    display_formatter.formatters[MIME_TYPE] = formatter
    display_formatter.active_types = [*display_formatter.active_types, MIME_TYPE]
