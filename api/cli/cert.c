#include "cert.h"
#include "certificate.h"
#include "exit_status.h"
#include "options.h"
#include "report.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	HOSTS_MAX = 64,
	DAYS_DEFAULT = 397, /* clients take no server's certificate that is valid for much longer */
	DAYS_MAX = 3650,
};

const struct option_spec cert_init_options[] = {
	OPTION(OPTION_TEXT, 'd', "directory", directory, "DIR", "where the files go; default: certs"),
	OPTION(OPTION_TEXT, 0, "hosts", hosts, "NAME,…",
	       "names and addresses of the server besides localhost, 127.0.0.1, ::1 and this machine's name"),
	OPTION(OPTION_NUMBER, 0, "days", days, "N", "that the server's certificate is valid; default: 397"),
	OPTION(OPTION_SWITCH, 'h', "help", help, NULL, "print this"),
	{ .kind = OPTION_END },
};

void cert_print_help(FILE *out)
{
	fputs("Usage: hearth cert init [OPTION]...\n\n"
	      "Makes a certificate authority of your own and a certificate by it, for trying and developing: ca.pem,\n"
	      "ca-key.pem, server.pem and server-key.pem. An authority that is there is used again, so that clients "
	      "keep\n"
	      "their trust; the server's certificate is made anew. Whoever has ca-key.pem can speak for every server "
	      "to\n"
	      "those who trust ca.pem: keep it, or delete it.\n\n",
	      out);
	options_print_help(cert_init_options, out);
	fputs("\nExamples:\n"
	      "  hearth cert init --directory certs --hosts hearth.example,192.168.1.7\n"
	      "  hearthd --tls-certificate certs/server.pem --tls-key certs/server-key.pem\n"
	      "  HEARTH_CA_CERTIFICATE=certs/ca.pem hearth run --url https://localhost:8080 -c '6 * 7'\n",
	      out);
}

/* Cuts `list` at its commas. */
static size_t split_hosts(char *list, const char **hosts, size_t max)
{
	size_t n = 0;

	for (char *host = strsep(&list, ","); host && n < max; host = strsep(&list, ","))
		if (*host)
			hosts[n++] = host;
	return n;
}

static int init(const struct options *o, struct error *err)
{
	char own_name[HOST_NAME_MAX + 1] = "", list[4096];
	const char *hosts[HOSTS_MAX] = { "localhost", "127.0.0.1", "::1" };
	struct certificate_order order = {
		.directory = o->directory ? o->directory : "certs",
		.hosts = hosts,
		.n_hosts = 3,
		.days = o->days == OPTIONS_UNSET ? DAYS_DEFAULT : o->days,
	};

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

int cert_command(int argc, char **argv)
{
	struct error err = { 0 };
	struct options options;

	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		cert_print_help(stdout);
		return fflush(stdout) == 0 ? STATUS_OK : STATUS_SERVICE;
	}
	if (argc < 2 || strcmp(argv[1], "init") != 0) {
		cert_print_help(stderr);
		return STATUS_USAGE;
	}
	if (options_parse(&options, cert_init_options, 0, argc - 1, argv + 1, &err) < 0) {
		error_wrap(&err, "cert init");
		return report(&err);
	}
	if (options.help) {
		cert_print_help(stdout);
		return fflush(stdout) == 0 ? STATUS_OK : STATUS_SERVICE;
	}
	return init(&options, &err) < 0 ? report(&err) : STATUS_OK;
}
