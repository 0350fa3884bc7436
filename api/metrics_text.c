#include "api/metrics_text.h"

#include <string.h>

/* In the form that OpenMetrics wants of `le`: with a decimal point, and no digit more than needed. */
static const struct {
	uint64_t us;
	const char *text;
} bounds[METRICS_N_BOUNDS] = {
	{ 1000, "0.001" },        { 2500, "0.0025" },   { 5000, "0.005" },    { 10000, "0.01" },
	{ 25000, "0.025" },       { 50000, "0.05" },    { 100000, "0.1" },    { 250000, "0.25" },
	{ 500000, "0.5" },        { 1000000, "1.0" },   { 2500000, "2.5" },   { 5000000, "5.0" },
	{ 10000000, "10.0" },     { 30000000, "30.0" }, { 60000000, "60.0" }, { 300000000, "300.0" },
	{ 1800000000, "1800.0" },
};

void metrics_histogram_observe(struct metrics_histogram *h, uint64_t us)
{
	size_t i = 0;

	while (i < METRICS_N_BOUNDS && us > bounds[i].us)
		i++;
	h->buckets[i]++;
	h->sum_us += us;
}

void metrics_text_family(struct metrics_text *t, const char *name, enum metrics_type type, const char *help)
{
	static const char *const types[] = { "counter", "gauge", "histogram" };
	size_t length = strlen(name);

	t->name = name;
	if (t->is_openmetrics && type == METRICS_COUNTER)
		length -= strlen("_total");
	buffer_put_format(t->out, "# HELP %.*s %s\n# TYPE %.*s %s\n", (int)length, name, help, (int)length, name,
			  types[type]);
}

static void put_value(struct buffer *out, const char *value)
{
	for (; *value; value++) {
		if (*value == '\n')
			buffer_put_text(out, "\\n");
		else if (*value == '\\' || *value == '"')
			buffer_put_format(out, "\\%c", *value);
		else
			buffer_put(out, value, 1);
	}
}

/* `bound` is the value of le, or NULL. */
static void put_labels(struct buffer *out, const struct metrics_label *labels, const char *bound)
{
	const char *before = "{";

	for (; labels && labels->name; labels++) {
		buffer_put_format(out, "%s%s=\"", before, labels->name);
		put_value(out, labels->value);
		buffer_put_text(out, "\"");
		before = ",";
	}
	if (bound)
		buffer_put_format(out, "%sle=\"%s\"", before, bound);
	if (bound || *before == ',')
		buffer_put_text(out, "}");
}

static void put_sample(struct metrics_text *t, const char *suffix, const struct metrics_label *labels,
		       const char *bound, double value)
{
	buffer_put_format(t->out, "%s%s", t->name, suffix);
	put_labels(t->out, labels, bound);
	/* Sixteen digits show each whole number that a double has, and no rounding error of a duration. */
	buffer_put_format(t->out, " %.16g\n", value);
}

void metrics_text_sample(struct metrics_text *t, const struct metrics_label *labels, double value)
{
	put_sample(t, "", labels, NULL, value);
}

void metrics_text_histogram(struct metrics_text *t, const struct metrics_label *labels,
			    const struct metrics_histogram *h)
{
	uint64_t n = 0;

	for (size_t i = 0; i <= METRICS_N_BOUNDS; i++) {
		n += h->buckets[i];
		put_sample(t, "_bucket", labels, i < METRICS_N_BOUNDS ? bounds[i].text : "+Inf", (double)n);
	}
	put_sample(t, "_sum", labels, NULL, (double)h->sum_us / 1e6);
	put_sample(t, "_count", labels, NULL, (double)n);
}

void metrics_text_single(struct metrics_text *t, const char *name, enum metrics_type type, const char *help,
			 double value)
{
	metrics_text_family(t, name, type, help);
	metrics_text_sample(t, NULL, value);
}

void metrics_text_end(struct metrics_text *t)
{
	if (t->is_openmetrics)
		buffer_put_text(t->out, "# EOF\n");
}
