#include "api/execute_headers.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

static void add_ms(struct http_request *r, const char *name, uint64_t us)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRIu64 ".%03" PRIu64, us / 1000, us % 1000);
	http_add_header(r, name, text);
}

static void put_part(char *text, size_t size, const char *name, uint64_t us)
{
	size_t n = strlen(text);

	snprintf(text + n, size - n, "%s%s=%" PRIu64 ".%03" PRIu64, n ? "," : "", name, us / 1000, us % 1000);
}

/* The parts of getting a machine ready depend on where it came from; the others are told of every execution. */
static void add_timing(struct http_request *r, const struct execution_start *start,
		       const struct execution_report *report)
{
	char text[384] = "";

	snprintf(text, sizeof(text), "source=%s", session_source_name(start->source));
	put_part(text, sizeof(text), "allocation", start->allocation_us);
	if (start->vmm_us && start->source != SESSION_WARM) {
		put_part(text, sizeof(text), "vmm", start->vmm_us);
		if (start->source == SESSION_BOOT)
			put_part(text, sizeof(text), "kernel", start->kernel_us);
		put_part(text, sizeof(text), "agent", start->agent_us);
		if (start->source != SESSION_BOOT)
			put_part(text, sizeof(text), "adopt", start->adopt_us);
	}
	if (start->source == SESSION_WARM)
		put_part(text, sizeof(text), "resume", start->resume_us);
	put_part(text, sizeof(text), "first_byte", start->first_byte_us);
	put_part(text, sizeof(text), "interpreter", start->interpreter_us);
	if (report) {
		put_part(text, sizeof(text), "execution", report->ran_us);
		put_part(text, sizeof(text), "total", (uv_hrtime() - r->received_ns) / 1000);
	}
	http_add_header(r, "x-hearth-timing", text);
}

void execute_headers_add(struct http_request *r, const struct execution_start *start,
			 const struct execution_report *report)
{
	uint64_t answer_us; /* from the code's start to its answer */
	char ran_ms[32];

	if (!start->session_guid[0])
		return;
	http_add_header(r, "x-ms-session-guid", start->session_guid);
	http_add_header(r, "x-ms-new-allocation", start->is_new_session ? "true" : "false");
	http_add_header(r, "x-ms-allocation-retries", "0");
	add_ms(r, "x-ms-allocation-time", start->allocation_us);
	add_ms(r, "x-ms-preparation-time", start->queued_us + start->interpreter_us);
	add_timing(r, start, report);
	if (!report)
		return;
	answer_us = report->ran_us + report->read_us;
	if (answer_us > report->wall_us)
		answer_us = report->wall_us;
	snprintf(ran_ms, sizeof(ran_ms), "%" PRIu64, report->ran_us / 1000);
	http_add_header(r, "x-ms-container-execution-duration", ran_ms);
	add_ms(r, "x-ms-execution-request-time", report->wall_us - answer_us);
	add_ms(r, "x-ms-execution-read-response-time", report->read_us);
	add_ms(r, "x-ms-overall-execution-time", report->wall_us);
	add_ms(r, "x-ms-total-execution-service-time", (uv_hrtime() - r->received_ns) / 1000);
}
