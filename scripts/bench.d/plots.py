"""Plots as SVG text: small, self-contained, and with nothing but what the report needs."""

import html
import math

import measure

WIDTH = 860
LEFT, RIGHT, TOP, BOTTOM = 190, 120, 14, 46
ROW = 34
COLOURS = ("#3366aa", "#dd7733", "#449966", "#aa4466", "#7755aa", "#888833", "#4499aa", "#996644", "#777777")
INK, GRID = "#333333", "#dddddd"


def colour(index):
    return COLOURS[index % len(COLOURS)]


def label(value):
    """A number as short as its size allows."""
    if value == 0:
        return "0"
    if abs(value) >= 100 or float(value).is_integer():
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}"


class Svg:
    def __init__(self, height, title):
        self.height = height
        self.parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
                      f'aria-label="{html.escape(title, quote=True)}" font-family="sans-serif" font-size="12" '
                      f'fill="{INK}">']

    def line(self, x1, y1, x2, y2, stroke=GRID, width=1.0):
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}" '
                          f'stroke-width="{width}"/>')

    def text(self, x, y, words, anchor="start"):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(str(words))}</text>')

    def box(self, x, y, width, height, fill, hint=""):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(0.5, width):.1f}" height="{height:.1f}" '
                          f'fill="{fill}">{self.hint(hint)}</rect>')

    def dot(self, x, y, fill, radius=3.0, opacity=0.45, hint=""):
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{fill}" fill-opacity="{opacity}">'
                          f'{self.hint(hint)}</circle>')

    def path(self, points, stroke):
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(f'<polyline points="{joined}" fill="none" stroke="{stroke}" stroke-width="2"/>')

    @staticmethod
    def hint(words):
        return f"<title>{html.escape(words)}</title>" if words else ""

    def finish(self):
        return "\n".join([*self.parts, "</svg>"])


class LogScale:
    """Decades side by side, from below the least value to above the greatest."""

    def __init__(self, values, first, last):
        positive = [value for value in values if value > 0] or [1.0]
        self.low = math.floor(math.log10(min(positive)))
        self.high = max(self.low + 1, math.ceil(math.log10(max(positive))))
        self.floor, self.first, self.last = 10.0 ** self.low, first, last

    def at(self, value):
        share = (math.log10(max(value, self.floor)) - self.low) / (self.high - self.low)
        return self.first + share * (self.last - self.first)

    def ticks(self):
        steps = (1, 2, 5) if self.high - self.low <= 3 else (1,)
        return [step * 10.0 ** power for power in range(self.low, self.high + 1) for step in steps
                if step * 10.0 ** power <= 10.0 ** self.high]


class LinearScale:
    """From zero to a round number above the greatest value."""

    def __init__(self, values, first, last):
        self.step = round_step(max([*values, 0]))
        self.top = max(self.step, math.ceil(max([*values, 0]) / self.step - 1e-9) * self.step)
        self.first, self.last = first, last

    def at(self, value):
        return self.first + value / self.top * (self.last - self.first)

    def ticks(self):
        return [self.step * index for index in range(round(self.top / self.step) + 1)]


def round_step(greatest):
    """1, 2 or 5 times a power of ten, so that there are four to ten steps."""
    if greatest <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(greatest / 4))
    return next(step * power for step in (1, 2, 5, 10) if greatest / (step * power) <= 10)


def horizontal_axis(svg, scale, bottom, name):
    for tick in scale.ticks():
        x = scale.at(tick)
        svg.line(x, TOP, x, bottom)
        svg.text(x, bottom + 16, label(tick), "middle")
    svg.text((LEFT + WIDTH - RIGHT) / 2, bottom + 36, name, "middle")


def strips(rows, title, unit="milliseconds (logarithmic)"):
    """A row for each (name, values): a dot for each value, a bar at the median with its number."""
    rows = [(name, values) for name, values in rows if values]
    if not rows:
        return ""
    bottom = TOP + ROW * len(rows)
    svg = Svg(bottom + BOTTOM, title)
    scale = LogScale([value for _, values in rows for value in values], LEFT, WIDTH - RIGHT)
    horizontal_axis(svg, scale, bottom, unit)
    for index, (name, values) in enumerate(rows):
        y = TOP + ROW * (index + 0.5)
        svg.text(LEFT - 10, y + 4, name, "end")
        for number, value in enumerate(values):
            svg.dot(scale.at(value), y + (number % 5 - 2) * 3.5, colour(index), hint=f"{name}: {label(value)}")
        median = measure.median(values)
        svg.line(scale.at(median), y - 13, scale.at(median), y + 13, INK, 2.5)
        svg.text(WIDTH - RIGHT + 10, y + 4, f"median {label(median)}")
    return svg.finish()


def stacks(rows, title, unit="milliseconds"):
    """A bar for each (name, {part: value}), its parts side by side; the legend stands below."""
    rows = [(name, parts) for name, parts in rows if parts]
    if not rows:
        return ""
    names = list(dict.fromkeys(part for _, parts in rows for part in parts))
    bottom = TOP + ROW * len(rows)
    svg = Svg(bottom + BOTTOM + 20 * math.ceil(len(names) / 5), title)
    scale = LinearScale([sum(parts.values()) for _, parts in rows], LEFT, WIDTH - RIGHT)
    horizontal_axis(svg, scale, bottom, unit)
    for index, (name, parts) in enumerate(rows):
        y, sum_so_far = TOP + ROW * index + 5, 0.0
        svg.text(LEFT - 10, y + 16, name, "end")
        for part, value in parts.items():
            svg.box(scale.at(sum_so_far), y, scale.at(value) - scale.at(0), ROW - 10, colour(names.index(part)),
                    f"{name}, {part}: {label(value)}")
            sum_so_far += value
        svg.text(scale.at(sum_so_far) + 6, y + 16, label(sum_so_far))
    for index, name in enumerate(names):
        x, y = 20 + (index % 5) * 165, bottom + BOTTOM + 20 * (index // 5) + 8
        svg.box(x, y - 10, 12, 12, colour(index))
        svg.text(x + 18, y, name)
    return svg.finish()


def curves(series, title, x_name, y_name):
    """A line for each (name, [(x, y), …]), from zero on both axes, named at its end."""
    series = [(name, points) for name, points in series if points]
    if not series:
        return ""
    height, bottom, left, right = 340, 290, 90, WIDTH - 200
    svg = Svg(height, title)
    across = LinearScale([x for _, points in series for x, _ in points], left, right)
    up = LinearScale([y for _, points in series for _, y in points], bottom, TOP)
    for tick in up.ticks():
        svg.line(left, up.at(tick), right, up.at(tick))
        svg.text(left - 8, up.at(tick) + 4, label(tick), "end")
    for tick in across.ticks():
        svg.text(across.at(tick), bottom + 16, label(tick), "middle")
    svg.text((left + right) / 2, bottom + 38, x_name, "middle")
    svg.text(left - 70, TOP - 2, y_name)
    used = []
    for index, (name, points) in enumerate(series):
        places = [(across.at(x), up.at(y)) for x, y in sorted(points)]
        svg.path(places, colour(index))
        for (x, y), (x_value, y_value) in zip(places, sorted(points)):
            svg.dot(x, y, colour(index), 3.5, 1, f"{name}: {label(x_value)}, {label(y_value)}")
        y = free_place(places[-1][1], used)
        svg.box(right + 12, y - 6, 10, 10, colour(index))
        svg.text(right + 28, y + 4, name)
    return svg.finish()


def free_place(y, used, distance=16):
    """The place nearest to y at which a name covers no other."""
    while any(abs(y - other) < distance for other in used):
        y += distance / 2
    used.append(y)
    return y
