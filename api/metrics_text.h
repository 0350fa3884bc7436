/*
 * The text that Prometheus reads: its format 0.0.4, or OpenMetrics 1.0, which differs in how counters are declared and in
 * that it has an end. Knows no metric.
 */
#ifndef HEARTH_API_METRICS_TEXT_H
#define HEARTH_API_METRICS_TEXT_H

#include "api/buffer.h"

#include <stdbool.h>
#include <stdint.h>

enum metrics_type { METRICS_COUNTER, METRICS_GAUGE, METRICS_HISTOGRAM };

enum {
	METRICS_N_BOUNDS = 17, /* of a histogram's buckets, but the one without a bound */
};

/* Durations, counted by how long they were. All zero at the start. */
struct metrics_histogram {
	uint64_t buckets[METRICS_N_BOUNDS + 1]; /* each on its own, not added up; the last one has no bound */
	uint64_t sum_us;
};

struct metrics_text {
	struct buffer *out;
	bool is_openmetrics;
	const char *name; /* of the family that was begun */
};

/* A label's value may hold anything; a NULL name ends the list. */
struct metrics_label {
	const char *name;
	const char *value;
};

#define METRICS_LABELS(...) ((const struct metrics_label[]) { __VA_ARGS__, { NULL, NULL } })

/* Counts a duration; a bucket holds what is at most its bound. */
void metrics_histogram_observe(struct metrics_histogram *h, uint64_t us);

/* Begins a family; its samples follow. A counter's name ends with _total. The texts live as long as `t`. */
void metrics_text_family(struct metrics_text *t, const char *name, enum metrics_type type, const char *help);

/* One sample of the family. `labels` may be NULL. */
void metrics_text_sample(struct metrics_text *t, const struct metrics_label *labels, double value);

/* The samples of one histogram, in seconds. */
void metrics_text_histogram(struct metrics_text *t, const struct metrics_label *labels,
			    const struct metrics_histogram *h);

/* A family of one sample without labels. */
void metrics_text_single(struct metrics_text *t, const char *name, enum metrics_type type, const char *help,
			 double value);

void metrics_text_end(struct metrics_text *t);

#endif
