#include "api/container_start.h"

#include "api/signal_name.h"
#include "common/agent_protocol.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	TEXT_MAX = (128 << 10) - 1, /* bytes of an argument or a variable: the kernel takes no longer one */
	PORT_MAX = 65535,
};

/* ---- small things ------------------------------------------------------------------------------------------------ */

/* "" where there is none. */
static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

/* A text that lives as long as `start`; NULL with *err filled. */
__attribute__((format(printf, 3, 4))) static const char *make_text(struct container_start *start, struct error *err,
								   const char *format, ...)
{
	char *text = NULL;
	va_list args;
	int n = -1;

	va_start(args, format);
	if (start->n_made < CONTAINER_MADE_MAX)
		n = vasprintf(&text, format, args);
	va_end(args);
	if (n < 0) {
		error_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	start->made[start->n_made++] = text;
	return text;
}

static int check_port(uint16_t port, struct error *err)
{
	return port != AGENT_TOKEN_PORT
		       ? 0
		       : error_set(err, EINVAL,
				   "Port %d is Hearth's own in a session: let the container listen on another.",
				   AGENT_TOKEN_PORT);
}

/* ---- what it runs ------------------------------------------------------------------------------------------------ */

static int add_arguments(struct container_start *start, const json_t *texts, const char *image, struct error *err)
{
	struct agent_container *container = &start->container;
	const json_t *text;
	size_t i;

	json_array_foreach(texts, i, text)
	{
		if (container->n_arguments == AGENT_CONTAINER_TEXTS_MAX || json_string_length(text) > TEXT_MAX)
			return error_set(err, EINVAL,
					 "The image '%.100s' is started with too much: at most %d arguments of %d "
					 "bytes each.",
					 image, AGENT_CONTAINER_TEXTS_MAX, TEXT_MAX);
		container->arguments[container->n_arguments++] = json_string_value(text);
	}
	return 0;
}

/* As Kubernetes has it: who gives a command of their own does not want the arguments that were meant for another. */
static int read_arguments(struct container_start *start, const json_t *own, const json_t *config, const char *image,
			  struct error *err)
{
	const json_t *command = json_object_get(own, "command"), *arguments = json_object_get(own, "args");
	bool has_command = json_array_size(command) > 0, has_arguments = json_array_size(arguments) > 0;

	if (add_arguments(start, has_command ? command : json_object_get(config, "entrypoint"), image, err) < 0)
		return -err->code;
	if (has_arguments || !has_command)
		if (add_arguments(start, has_arguments ? arguments : json_object_get(config, "cmd"), image, err) < 0)
			return -err->code;
	if (start->container.n_arguments > 0 && *start->container.arguments[0])
		return 0;
	return error_set(err, EINVAL,
			 "Nothing says what to run: the image '%.100s' has neither an entrypoint nor a command, and "
			 "'customContainerTemplate' has no 'command'.",
			 image);
}

/* Puts NAME=VALUE in the place of the variable of that name, or after all. */
static int set_variable(struct container_start *start, const char *variable, struct error *err)
{
	struct agent_container *container = &start->container;
	size_t name = strcspn(variable, "=") + 1;
	uint32_t i = 0;

	while (i < container->n_variables && strncmp(container->variables[i], variable, name) != 0)
		i++;
	if (i == AGENT_CONTAINER_TEXTS_MAX || strlen(variable) > TEXT_MAX)
		return error_set(err, EINVAL,
				 "The container has too large an environment: at most %d variables of %d bytes each.",
				 AGENT_CONTAINER_TEXTS_MAX, TEXT_MAX);
	container->variables[i] = variable;
	if (i == container->n_variables)
		container->n_variables++;
	return 0;
}

static int set_own_variable(struct container_start *start, const json_t *entry, const json_t *secrets,
			    struct error *err)
{
	const char *secret = json_string_value(json_object_get(entry, "secretRef"));
	const char *value = text_of(secret ? secrets : entry, secret ? secret : "value");
	const char *variable;

	if (secret && !json_is_string(json_object_get(secrets, secret)))
		return error_set(err, EINVAL, "There is no secret '%.64s', which 'secretRef' names.", secret);
	variable = make_text(start, err, "%s=%s", text_of(entry, "name"), value);
	return variable ? set_variable(start, variable, err) : -err->code;
}

static int read_variables(struct container_start *start, const json_t *own, const json_t *secrets, const json_t *config,
			  struct error *err)
{
	const json_t *entry;
	size_t i;

	json_array_foreach(json_object_get(config, "env"), i, entry)
	{
		const char *text = json_string_value(entry);

		/* Without a value it would be taken from the environment of who runs it: there is none. */
		if (text && *text != '=' && strchr(text, '=') && set_variable(start, text, err) < 0)
			return -err->code;
	}
	json_array_foreach(json_object_get(own, "env"), i,
			   entry) if (set_own_variable(start, entry, secrets, err) < 0) return -err->code;
	return 0;
}

static int read_user(struct container_start *start, const json_t *config, const char *image, struct error *err)
{
	const char *directory = text_of(config, "workingDirectory"), *stop = text_of(config, "stopSignal");
	int signal_number = *stop ? signal_from_name(stop) : SIGTERM;

	if (signal_number == 0)
		return error_set(err, EINVAL, "The image '%.100s' has the stop signal '%.32s', which is none.", image,
				 stop);
	start->container.stop_signal = (uint8_t)signal_number;
	start->container.user = text_of(config, "user");
	if (*directory && *directory != '/')
		directory = make_text(start, err, "/%s", directory);
	start->container.directory = directory;
	return directory ? 0 : -err->code;
}

/* ---- where it serves --------------------------------------------------------------------------------------------- */

/* The port of "8080/tcp" or "8080"; 0 if it is none of TCP. */
static uint16_t tcp_port(const char *text)
{
	size_t digits = strspn(text, "0123456789");
	unsigned long port = digits > 0 && digits <= 5 ? strtoul(text, NULL, 10) : 0;

	if (text[digits] != '\0' && strcasecmp(text + digits, "/tcp") != 0)
		return 0;
	return port <= PORT_MAX ? (uint16_t)port : 0;
}

/* The one TCP port that an image exposes, or 0. */
static uint16_t exposed_port(const json_t *config)
{
	const json_t *entry;
	uint16_t found = 0;
	size_t i;

	json_array_foreach(json_object_get(config, "exposedPorts"), i, entry)
	{
		uint16_t port = json_is_string(entry) ? tcp_port(json_string_value(entry)) : 0;

		if (found && port && port != found)
			return 0;
		found = port ? port : found;
	}
	return found;
}

static int read_port(struct container_start *start, const json_t *template, const json_t *config, const char *image,
		     struct error *err)
{
	const json_t *ingress = json_object_get(template, "ingress");
	json_int_t port = json_integer_value(json_object_get(ingress, "targetPort"));

	if (port == 0)
		port = exposed_port(config);
	if (port < 1 || port > PORT_MAX)
		return error_set(err, EINVAL,
				 "Nothing says where the container serves: 'ingress.targetPort' in "
				 "'customContainerTemplate' is missing, and the image '%.100s' does not expose one TCP "
				 "port.",
				 image);
	start->container.target_port = (uint16_t)port;
	return check_port(start->container.target_port, err);
}

/* ---- probes ------------------------------------------------------------------------------------------------------ */

static uint32_t number_of(const json_t *object, const char *key, uint32_t otherwise)
{
	const json_t *value = json_object_get(object, key);

	return value ? (uint32_t)json_integer_value(value) : otherwise;
}

static int read_headers(struct container_start *start, struct agent_probe *probe, const json_t *http, struct error *err)
{
	const json_t *list = json_object_get(http, "httpHeaders"), *entry;
	size_t i;

	if (json_array_size(list) > AGENT_PROBE_HEADERS_MAX)
		return error_set(err, EINVAL, "The property 'httpHeaders' of a probe must have at most %d entries.",
				 AGENT_PROBE_HEADERS_MAX);
	json_array_foreach(list, i, entry)
	{
		const char *line = make_text(start, err, "%s: %s", text_of(entry, "name"), text_of(entry, "value"));

		if (!line)
			return -err->code;
		probe->headers[probe->n_headers++] = line;
	}
	return 0;
}

static int read_http(struct container_start *start, struct agent_probe *probe, const json_t *http, struct error *err)
{
	const char *scheme = text_of(http, "scheme"), *path = text_of(http, "path");

	if (*scheme && strcasecmp(scheme, "HTTP") != 0)
		return error_set(err, EINVAL,
				 "The property 'scheme' of a probe is '%.32s': only HTTP is supported; use 'tcpSocket' "
				 "for a server with TLS.",
				 scheme);
	probe->action = AGENT_PROBE_HTTP;
	probe->path = *path == '/' ? path : make_text(start, err, "/%s", path);
	return probe->path ? read_headers(start, probe, http, err) : -err->code;
}

static enum agent_probe_kind kind_of(const char *type)
{
	return strcmp(type, "Startup") == 0    ? AGENT_PROBE_STARTUP
	       : strcmp(type, "Liveness") == 0 ? AGENT_PROBE_LIVENESS
					       : AGENT_PROBE_READINESS;
}

/* What is left out is as Kubernetes has it. */
static int read_probe(struct container_start *start, struct agent_probe *probe, const json_t *given, struct error *err)
{
	const json_t *http = json_object_get(given, "httpGet");
	const char *type = text_of(given, "type");

	*probe = (struct agent_probe) {
		.kind = kind_of(type),
		.action = AGENT_PROBE_TCP,
		.port = (uint16_t)number_of(http ? http : json_object_get(given, "tcpSocket"), "port", 0),
		.initial_delay_ms = 1000 * number_of(given, "initialDelaySeconds", 0),
		.period_ms = 1000 * number_of(given, "periodSeconds", 10),
		.timeout_ms = 1000 * number_of(given, "timeoutSeconds", 1),
		.success_threshold = number_of(given, "successThreshold", 1),
		.failure_threshold = number_of(given, "failureThreshold", 3),
		.path = "",
	};
	if (probe->kind != AGENT_PROBE_READINESS && probe->success_threshold != 1)
		return error_set(err, EINVAL, "The property 'successThreshold' of a %s probe must be 1.", type);
	if (check_port(probe->port, err) < 0)
		return -err->code;
	return http ? read_http(start, probe, http, err) : 0;
}

/* Where neither tells when it is ready, the agent waits until somebody listens on the target port. */
static int read_probes(struct container_start *start, const json_t *own, struct error *err)
{
	struct agent_container *container = &start->container;
	const json_t *given;
	unsigned int kinds = 0;
	size_t i;

	json_array_foreach(json_object_get(own, "probes"), i, given)
	{
		unsigned int kind = 1u << kind_of(text_of(given, "type"));

		if (kinds & kind)
			return error_set(err, EINVAL, "There are two %s probes: only one of each type is possible.",
					 text_of(given, "type"));
		kinds |= kind;
		if (read_probe(start, &container->probes[container->n_probes++], given, err) < 0)
			return -err->code;
	}
	return 0;
}

/* ---- options ----------------------------------------------------------------------------------------------------- */

static int unknown_label(const char *label, const char *value, const char *image, const char *words, struct error *err)
{
	return error_set(err, EINVAL, "The image '%.100s' has the label %s=%.64s: it must be %s.", image, label, value,
			 words);
}

/* What the pool says goes before what the image says. */
static int read_hold(struct container_start *start, const json_t *template, const json_t *labels, const char *image,
		     struct error *err)
{
	const char *own = text_of(template, "snapshot"), *label = text_of(labels, "hearth.snapshot");
	bool is_hold = strcmp(own, "BeforeEntrypoint") == 0;

	if (!*own && *label) {
		is_hold = strcmp(label, "before-entrypoint") == 0;
		if (!is_hold && strcmp(label, "running") != 0)
			return unknown_label("hearth.snapshot", label, image, "running or before-entrypoint", err);
	}
	start->container.flags |= is_hold ? AGENT_CONTAINER_HOLD : 0;
	return 0;
}

static int read_init(struct container_start *start, const json_t *labels, const char *image, struct error *err)
{
	const char *label = text_of(labels, "hearth.init");
	bool is_init = strcmp(label, "true") == 0;

	if (*label && !is_init && strcmp(label, "false") != 0)
		return unknown_label("hearth.init", label, image, "true or false", err);
	start->container.flags |= is_init ? AGENT_CONTAINER_INIT : 0;
	return 0;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

int container_start_read(struct container_start *start, const json_t *template, const json_t *secrets,
			 const json_t *config, const char *image, struct error *err)
{
	const json_t *own = json_array_get(json_object_get(template, "containers"), 0);
	const json_t *labels = json_object_get(config, "labels");

	*start = (struct container_start) { 0 };
	if (read_arguments(start, own, config, image, err) < 0 ||
	    read_variables(start, own, secrets, config, err) < 0 || read_user(start, config, image, err) < 0 ||
	    read_port(start, template, config, image, err) < 0 || read_probes(start, own, err) < 0 ||
	    read_hold(start, template, labels, image, err) < 0)
		return -err->code;
	return read_init(start, labels, image, err);
}

void container_start_fini(struct container_start *start)
{
	for (size_t i = 0; i < start->n_made; i++) {
		explicit_bzero(start->made[i], strlen(start->made[i]));
		free(start->made[i]);
	}
	*start = (struct container_start) { 0 };
}
