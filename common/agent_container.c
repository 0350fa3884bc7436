#include "common/agent_container.h"

#include "common/bytes.h"

#include <string.h>

/* ---- encoding ---------------------------------------------------------------------------------------------------- */

static void put_text(struct bytes *b, const char *text)
{
	bytes_put(b, text, strlen(text) + 1);
}

static void put_texts(struct bytes *b, const char *const *texts, uint32_t count)
{
	bytes_put_u32(b, count);
	for (uint32_t i = 0; i < count; i++)
		put_text(b, texts[i]);
}

static void put_probe(struct bytes *b, const struct agent_probe *probe)
{
	bytes_put_u8(b, (uint8_t)probe->kind);
	bytes_put_u8(b, (uint8_t)probe->action);
	bytes_put_u16(b, probe->port);
	bytes_put_u32(b, probe->initial_delay_ms);
	bytes_put_u32(b, probe->period_ms);
	bytes_put_u32(b, probe->timeout_ms);
	bytes_put_u32(b, probe->success_threshold);
	bytes_put_u32(b, probe->failure_threshold);
	put_text(b, probe->path);
	put_texts(b, probe->headers, probe->n_headers);
}

size_t agent_container_encode(const struct agent_container *container, void *body, size_t size)
{
	struct bytes b = bytes_over(body, size < AGENT_CONTAINER_BODY_MAX ? size : AGENT_CONTAINER_BODY_MAX);

	bytes_put_u32(&b, container->flags);
	bytes_put_u8(&b, container->n_disks);
	bytes_put_u8(&b, container->stop_signal);
	bytes_put_u16(&b, container->target_port);
	bytes_put_u32(&b, container->n_probes);
	put_text(&b, container->user);
	put_text(&b, container->directory);
	put_texts(&b, container->arguments, container->n_arguments);
	put_texts(&b, container->variables, container->n_variables);
	for (uint32_t i = 0; i < container->n_probes; i++)
		put_probe(&b, &container->probes[i]);
	return b.failed ? 0 : b.position;
}

/* ---- decoding ---------------------------------------------------------------------------------------------------- */

/* The next text, or "" and `failed` if it has no end. */
static const char *get_text(struct bytes *b)
{
	size_t left = bytes_left(b);
	const uint8_t *at = bytes_take(b, 0);
	const uint8_t *end = at && left ? memchr(at, '\0', left) : NULL;

	if (!end) {
		b->failed = true;
		return "";
	}
	return (const char *)bytes_take(b, (size_t)(end - at) + 1);
}

/* The number of texts that were put into `texts`; none and `failed` if there would be more than `max`. */
static uint32_t get_texts(struct bytes *b, const char **texts, uint32_t max)
{
	uint32_t count = bytes_get_u32(b);

	if (count > max) {
		b->failed = true;
		return 0;
	}
	for (uint32_t i = 0; i < count; i++)
		texts[i] = get_text(b);
	return count;
}

static void get_probe(struct bytes *b, struct agent_probe *probe)
{
	probe->kind = bytes_get_u8(b);
	probe->action = bytes_get_u8(b);
	probe->port = bytes_get_u16(b);
	probe->initial_delay_ms = bytes_get_u32(b);
	probe->period_ms = bytes_get_u32(b);
	probe->timeout_ms = bytes_get_u32(b);
	probe->success_threshold = bytes_get_u32(b);
	probe->failure_threshold = bytes_get_u32(b);
	probe->path = get_text(b);
	probe->n_headers = get_texts(b, probe->headers, AGENT_PROBE_HEADERS_MAX);
}

/* Printable ASCII; spaces where they may be. What is sent to a server must not become another request. */
static bool is_printable(const char *text, char first)
{
	for (; *text; text++)
		if (*text < first || *text > '~')
			return false;
	return true;
}

static bool is_header(const char *line)
{
	size_t name = strcspn(line, ":");

	return name > 0 && line[name] == ':' && !memchr(line, ' ', name) && is_printable(line, ' ');
}

static const char *check_probe_texts(const struct agent_probe *probe)
{
	size_t size = strlen(probe->path);

	if (probe->action == AGENT_PROBE_TCP)
		return *probe->path || probe->n_headers ? "a TCP probe has a path or headers" : NULL;
	if (*probe->path != '/' || !is_printable(probe->path, '!'))
		return "the path of a probe is none of HTTP";
	for (uint32_t i = 0; i < probe->n_headers; i++) {
		if (!is_header(probe->headers[i]))
			return "a header of a probe is none of HTTP";
		size += strlen(probe->headers[i]);
	}
	return size > AGENT_PROBE_TEXT_MAX ? "a probe is too long" : NULL;
}

static const char *check_probe(const struct agent_probe *probe)
{
	bool needs_one_success = probe->kind != AGENT_PROBE_READINESS;

	if (probe->kind < AGENT_PROBE_STARTUP || probe->kind > AGENT_PROBE_READINESS)
		return "a probe is of no known kind";
	if (probe->action != AGENT_PROBE_HTTP && probe->action != AGENT_PROBE_TCP)
		return "a probe does nothing known";
	if (probe->port == 0)
		return "a probe has no port";
	if (probe->initial_delay_ms > AGENT_PROBE_MS_MAX || probe->period_ms == 0 ||
	    probe->period_ms > AGENT_PROBE_MS_MAX || probe->timeout_ms == 0 || probe->timeout_ms > AGENT_PROBE_MS_MAX)
		return "a probe has a time that is out of bounds";
	if (probe->success_threshold == 0 || probe->failure_threshold == 0 ||
	    (needs_one_success && probe->success_threshold != 1))
		return "a probe has a threshold that makes no sense";
	return check_probe_texts(probe);
}

bool agent_variable_is_sound(const char *text)
{
	return *text != '=' && strchr(text, '=');
}

static const char *check_variables(const struct agent_container *container)
{
	for (uint32_t i = 0; i < container->n_variables; i++)
		if (!agent_variable_is_sound(container->variables[i]))
			return "a variable is not NAME=VALUE";
	return NULL;
}

static const char *check(const struct agent_container *container)
{
	uint32_t kinds = 0;

	if (container->flags & ~(uint32_t)AGENT_CONTAINER_FLAGS)
		return "an option is unknown";
	if (container->n_disks > AGENT_CONTAINER_DISKS_MAX)
		return "there are too many disks";
	if (container->stop_signal == 0 || container->stop_signal > AGENT_SIGNAL_MAX)
		return "the stop signal is none";
	if (*container->directory && *container->directory != '/')
		return "the working directory is not absolute";
	if (container->n_arguments == 0 || !*container->arguments[0])
		return "there is no entrypoint";
	for (uint32_t i = 0; i < container->n_probes; i++) {
		const char *fault = check_probe(&container->probes[i]);

		if (fault)
			return fault;
		if (kinds & 1u << container->probes[i].kind)
			return "two probes are of one kind";
		kinds |= 1u << container->probes[i].kind;
	}
	return check_variables(container);
}

const char *agent_container_decode(const void *body, size_t size, struct agent_container *container)
{
	struct bytes b = bytes_from(body, size);

	*container = (struct agent_container) { 0 };
	if (size > AGENT_CONTAINER_BODY_MAX)
		return "the description is too long";
	container->flags = bytes_get_u32(&b);
	container->n_disks = bytes_get_u8(&b);
	container->stop_signal = bytes_get_u8(&b);
	container->target_port = bytes_get_u16(&b);
	container->n_probes = bytes_get_u32(&b);
	container->user = get_text(&b);
	container->directory = get_text(&b);
	container->n_arguments = get_texts(&b, container->arguments, AGENT_CONTAINER_TEXTS_MAX);
	container->n_variables = get_texts(&b, container->variables, AGENT_CONTAINER_TEXTS_MAX);
	if (container->n_probes > AGENT_CONTAINER_PROBES_MAX)
		return "there are too many probes";
	for (uint32_t i = 0; i < container->n_probes; i++)
		get_probe(&b, &container->probes[i]);
	if (b.failed || bytes_left(&b) > 0)
		return "the description is cut off, or longer than it says";
	return check(container);
}

void agent_container_set_hold(void *body, bool is_held)
{
	uint8_t *flags = body; /* little-endian: the least bits come first */

	if (is_held)
		flags[0] |= AGENT_CONTAINER_HOLD;
	else
		flags[0] &= (uint8_t)~AGENT_CONTAINER_HOLD;
}
