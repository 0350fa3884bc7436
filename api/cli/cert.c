#include "cert.h"
#include "certificate.h"
#include "exit_status.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	HOSTS_MAX = 64,
	DAYS_DEFAULT = 397, /* clients take no server's certificate that is valid for much longer */
	DAYS_MAX = 3650,
};

static const struct option_spec init_options[] = {
	OPTION(OPTION_TEXT, 'd', "directory", directory, "DIR", "where the files go; default: certs"),
	OPTION(OPTION_TEXT, 0, "hosts", hosts, "NAME,…",
	       "names and addresses of the server besides localhost, 127.0.0.1, ::1 and this machine's name"),
	OPTION(OPTION_NUMBER, 0, "days", days, "N", "that the server's certificate is valid; default: 397"),
	OPTION(OPTION_SWITCH, 'h', "help", help, NULL, "print this"),
	{ .kind = OPTION_END },
};

/* Cuts `list` at its commas. */
static size_t split_hosts(char *list, const char **hosts, size_t max)
{
	size_t n = 0;

	for (char *host = strsep(&list, ","); host && n < max; host = strsep(&list, ","))
		if (*host)
			hosts[n++] = host;
	return n;
}

static int init(struct service *s, const struct options *o, struct error *err)
{
	char own_name[HOST_NAME_MAX + 1] = "", list[4096];
	const char *hosts[HOSTS_MAX] = { "localhost", "127.0.0.1", "::1" };
	struct certificate_order order = {
		.directory = o->directory ? o->directory : "certs",
		.hosts = hosts,
		.n_hosts = 3,
		.days = o->days == OPTIONS_UNSET ? DAYS_DEFAULT : o->days,
	};

	(void)s;
	if (order.days < 1 || order.days > DAYS_MAX)
		return error_set(err, STATUS_USAGE, "--days takes a number from 1 to %d", DAYS_MAX);
	if (gethostname(own_name, sizeof(own_name) - 1) == 0 && *own_name && strcmp(own_name, "localhost") != 0)
		hosts[order.n_hosts++] = own_name;
	if (snprintf(list, sizeof(list), "%s", o->hosts ? o->hosts : "") >= (int)sizeof(list))
		return error_set(err, STATUS_USAGE, "--hosts is too long");
	order.n_hosts += split_hosts(list, hosts + order.n_hosts, HOSTS_MAX - order.n_hosts);
	if (certificate_make(&order, err) < 0)
		return -err->code;
	printf("Made %s/server.pem and server-key.pem.\n"
	       "Serve with     hearthd --tls-certificate %s/server.pem --tls-key %s/server-key.pem\n"
	       "Clients trust  %s/ca.pem (HEARTH_CA_CERTIFICATE, SSL_CERT_FILE, REQUESTS_CA_BUNDLE, "
	       "NODE_EXTRA_CA_CERTS)\n",
	       order.directory, order.directory, order.directory, order.directory);
	return fflush(stdout) == 0 ? 0 : error_set(err, STATUS_SERVICE, "cannot write the output");
}

static const struct command commands[] = {
	{ "init", "",
	  "Makes ca.pem, ca-key.pem, server.pem and server-key.pem. An authority that is there is used again.",
	  init_options, 0, init },
	{ NULL, NULL, NULL, NULL, 0, NULL },
};

const struct command_group cert_commands = {
	.name = "cert",
	.summary = "Certificates for trying and developing. Who has ca-key.pem can speak for any server: keep it, or "
		   "delete it.",
	.commands = commands,
	.examples = "  hearth cert init --directory certs --hosts hearth.example,192.168.1.7\n"
		    "  hearthd --tls-certificate certs/server.pem --tls-key certs/server-key.pem\n"
		    "  HEARTH_CA_CERTIFICATE=certs/ca.pem hearth run --url https://localhost:8080 -c '6 * 7'\n",
	.is_local = true,
};
