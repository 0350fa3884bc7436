/*
 * A pool's JSON, NUL, and an image's configuration: from both comes a start that the agent takes, or a sentence that says
 * why not.
 */
#include "api/container_start.h"
#include "api/container_template.h"
#include "api/image/description.h"
#include "api/json.h"
#include "common/agent_protocol.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>

static struct container_start start;
static struct agent_container decoded;
static uint8_t body[AGENT_CONTAINER_BODY_MAX];

static void check_start(void)
{
	size_t size = agent_container_encode(&start.container, body, sizeof(body));
	const char *fault = size ? agent_container_decode(body, size, &decoded) : "";

	FUZZ_CHECK(start.container.target_port && start.container.target_port != AGENT_TOKEN_PORT);
	if (fault)
		return;
	FUZZ_CHECK(decoded.n_arguments == start.container.n_arguments);
	FUZZ_CHECK(decoded.n_variables == start.container.n_variables);
	for (uint32_t i = 0; i < decoded.n_variables; i++)
		FUZZ_CHECK(strcmp(decoded.variables[i], start.container.variables[i]) == 0);
}

static void check_error(const struct error *err)
{
	FUZZ_CHECK(err->code == EINVAL && *err->text && strlen(err->text) < sizeof(err->text));
}

static void read_both(const struct pool_definition *d, const json_t *config)
{
	json_t *template = container_template_json(d), *secrets = container_secrets_open(d);
	struct error err = { 0 };

	if (container_start_read(&start, template, secrets, config, "app:1", &err) == 0)
		check_start();
	else
		check_error(&err);
	container_start_fini(&start);
	container_secrets_close(secrets);
	json_decref(template);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size ? memchr(data, '\0', size) : NULL;
	size_t first = end ? (size_t)(end - data) : size;
	struct pool_definition d = pool_definition_default("aa");
	struct image_description image = { .n_layers = 0 };
	struct error err = { 0 };
	json_t *properties = json_parse((const char *)data, first, &err), *config = NULL;

	if (end)
		config = image_description_read_config(&image, (const char *)end + 1, size - first - 1, &err);
	if (json_is_object(properties)) {
		err = (struct error) { 0 };
		if (container_template_read(&d, properties, &err) < 0)
			check_error(&err);
		else if (d.container_template[0])
			read_both(&d, json_object_get(config, "config"));
	}
	json_decref(properties);
	json_decref(config);
	return 0;
}
