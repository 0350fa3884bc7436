#include "token_offer.h"

#include "container.h"
#include "token_relay.h"
#include "common/agent_protocol.h"
#include "common/log.h"

#include <stdio.h>
#include <string.h>

#define ENDPOINT "IDENTITY_ENDPOINT="
#define HEADER   "IDENTITY_HEADER="

static const char **environment;
static const char *relay_path;
static struct interpreter *interpreters[2];
static char endpoint[64], header[sizeof(HEADER) + AGENT_SECRET_SIZE];

/* To interpreters that run, and to a container; the environment is for those that will be started. */
static void tell(const char *first, const char *second)
{
	char variables[sizeof(endpoint) + sizeof(header)];
	int size = snprintf(variables, sizeof(variables), "%s%c%s", first, '\0', second) + 1;

	for (int i = 0; i < 2; i++)
		interpreter_set_environment(interpreters[i], variables, (size_t)size);
	container_hand_over(variables, (size_t)size);
}

void token_offer_init(const char **slots, const char *unix_path, struct interpreter *python, struct interpreter *node)
{
	environment = slots;
	relay_path = unix_path;
	interpreters[0] = python;
	interpreters[1] = node;
}

static bool is_secret(const char *text, size_t size)
{
	return size == AGENT_SECRET_SIZE &&
	       strspn(text, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") == size;
}

bool token_offer_take(const void *body, size_t size)
{
	char secret[AGENT_SECRET_SIZE + 1] = "";
	int port;

	memcpy(secret, body, size < AGENT_SECRET_SIZE ? size : AGENT_SECRET_SIZE);
	if (!is_secret(secret, size))
		return false;
	port = token_relay_open(relay_path);
	if (port < 0) {
		log_warn("no tokens can be had: cannot listen on the loopback: %s", strerror(-port));
		return true;
	}
	snprintf(endpoint, sizeof(endpoint), ENDPOINT "http://127.0.0.1:%d/msi/token", port);
	snprintf(header, sizeof(header), HEADER "%s", secret);
	environment[0] = endpoint;
	environment[1] = header;
	tell(endpoint, header);
	return true;
}

void token_offer_withdraw(void)
{
	if (!environment[0])
		return;
	token_relay_close();
	environment[0] = environment[1] = NULL;
	explicit_bzero(header, sizeof(header));
	tell(ENDPOINT, HEADER);
}
