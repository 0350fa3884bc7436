"""Tables of what was measured of sessions of containers, for all kinds of reports. One of before has none of it."""


def per_cent(part, whole):
    return f"{100 * part / whole:.0f} %" if whole else ""


def requests(points, number):
    head = ["connections", "hearthd/s", "median ms", "p99 ms", "nginx/s", "median ms", "p99 ms", "of nginx's", "p99 ÷ nginx's",
            "new to container"]
    return head, [[point["connections"], *(number(point[f"{who}_{what}"]) for who in ("hearthd", "nginx")
                                           for what in ("per_second", "median_ms", "p99_ms")),
                   per_cent(point["hearthd_per_second"], point["nginx_per_second"]),
                   number(point["hearthd_p99_ms"] / point["nginx_p99_ms"]), point["connections_to_container"]]
                  for point in points]


def bodies(points, number):
    head = ["one body", "MiB", "hearthd MiB/s", "nginx MiB/s", "of nginx's", "hearthd's KiB before", "most", "after"]
    return head, [[point["way"], point["mib"], number(point["hearthd_mib_per_second"]), number(point["nginx_mib_per_second"]),
                   per_cent(point["hearthd_mib_per_second"], point["nginx_mib_per_second"]), point["rss_before_kib"],
                   point["rss_most_kib"], point["rss_after_kib"]] for point in points]


def streams(points, number):
    head = ["streams at once", "sessions", "hearthd's KiB before", "with them", "after", "KiB each", "descriptors", "left"]
    return head, [[point["streams"], point["sessions"], point["rss_before_kib"], point["rss_during_kib"], point["rss_after_kib"],
                   number((point["rss_during_kib"] - point["rss_before_kib"]) / point["streams"]), point["descriptors"],
                   point["descriptors_left"]] for point in points]


def tables(document, number):
    """Pairs of a head and rows; `number` makes a number short."""
    makers = {"proxied_requests": requests, "proxied_bodies": bodies, "proxied_streams": streams}
    return [make(document["points"][name], number) for name, make in makers.items() if document["points"].get(name)]
