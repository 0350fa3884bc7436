/* What `hearth sessionpool` makes of its options about a container. */
#include "api/cli/exit_status.h"
#include "api/cli/pool_container.h"
#include "tests/unit/options_helper.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static const struct option_spec specs[] = {
	OPTION(OPTION_TEXT, 0, "image", image, "", ""),
	OPTION(OPTION_TEXT, 0, "container-name", container_name, "", ""),
	OPTION(OPTION_WORDS, 0, "command", command, "", ""),
	OPTION(OPTION_WORDS, 0, "args", args, "", ""),
	OPTION(OPTION_WORDS, 0, "env-vars", env_vars, "", ""),
	OPTION(OPTION_WORDS, 0, "secrets", secrets, "", ""),
	OPTION(OPTION_NUMBER, 0, "target-port", target_port, "", ""),
	OPTION(OPTION_TEXT_OR_EMPTY, 0, "startup-probe", startup_probe, "", ""),
	OPTION(OPTION_TEXT_OR_EMPTY, 0, "readiness-probe", readiness_probe, "", ""),
	OPTION(OPTION_TEXT_OR_EMPTY, 0, "liveness-probe", liveness_probe, "", ""),
	OPTION(OPTION_TEXT, 0, "snapshot", snapshot, "", ""),
	COMMON_OPTIONS,
};

static struct error err;

static void parse(struct options *o, const char *line)
{
	err = (struct error) { 0 };
	if (parse_line(o, specs, 1, line, &err) < 0)
		fail_msg("%s: %s", line, err.text);
}

/* The properties that come of it, or NULL. `before` and `properties` are JSON, or NULL. */
static json_t *make(const char *line, const char *before, const char *properties)
{
	json_t *old = before ? json_loads(before, 0, NULL) : NULL, *resource, *out = NULL;
	struct options o;

	parse(&o, line);
	resource = json_pack("{s:o}", "properties", json_loads(properties ? properties : "{}", 0, NULL));
	if (pool_secrets_put(resource, &o, &err) == 0 &&
	    (!pool_container_is_meant(&o) || pool_container_put(resource, &o, old, "Web", &err) == 0))
		out = json_incref(json_object_get(resource, "properties"));
	json_decref(resource);
	json_decref(old);
	return out;
}

/* Of text with ' for ". */
static void check(const char *line, const char *before, const char *properties, const char *wanted)
{
	char texts[3][1024] = { "", "", "" };
	const char *const given[] = { before, properties, wanted };
	json_t *want, *got;

	for (size_t i = 0; i < 3; i++)
		for (size_t j = 0; given[i] && given[i][j]; j++)
			texts[i][j] = given[i][j] == '\'' ? '"' : given[i][j];
	want = json_loads(texts[2], 0, NULL);
	assert_non_null(want);
	got = make(line, before ? texts[0] : NULL, properties ? texts[1] : NULL);
	if (!got)
		fail_msg("%s: %s", line, err.text);
	if (!json_equal(want, got))
		fail_msg("%s: %s is not %s", line, json_dumps(got, JSON_COMPACT), wanted);
	json_decref(want);
	json_decref(got);
}

static void check_bad(const char *line, const char *before, const char *part)
{
	json_t *got = make(line, before, NULL);

	if (got)
		fail_msg("taken: %s", line);
	assert_int_equal(err.code, STATUS_USAGE);
	if (!strstr(err.text, part))
		fail_msg("\"%s\" is not in \"%s\"", part, err.text);
}

static void a_new_pool_gets_what_is_named(void **state)
{
	(void)state;
	check("--image app:1", NULL, NULL,
	      "{'customContainerTemplate':{'containers':[{'name':'web','image':'app:1'}]}}");
	check("--image app:1 --container-name c --command /app --args=-p 80 --env-vars A=b C=secretref:s D= E=a=b "
	      "--secrets s=x=y t --target-port 8080 --snapshot BeforeEntrypoint "
	      "--startup-probe http:8080/ready?now --readiness-probe http:80 --liveness-probe tcp:65535",
	      NULL, "{'resources':{'cpu':'2','memory':'1Gi'},'templateName':''}",
	      "{'templateName':'','secrets':[{'name':'s','value':'x=y'},{'name':'t'}],'customContainerTemplate':"
	      "{'containers':[{'image':'app:1','name':'c','command':['/app'],'args':['-p','80'],"
	      "'env':[{'name':'A','value':'b'},{'name':'C','secretRef':'s'},{'name':'D','value':''},"
	      "{'name':'E','value':'a=b'}],'resources':{'cpu':'2','memory':'1Gi'},"
	      "'probes':[{'type':'Startup','httpGet':{'path':'/ready?now','port':8080}},"
	      "{'type':'Readiness','httpGet':{'path':'/','port':80}},"
	      "{'type':'Liveness','tcpSocket':{'port':65535}}]}],"
	      "'ingress':{'targetPort':8080},'snapshot':'BeforeEntrypoint'}}");
	check("--secrets ''", NULL, NULL, "{'secrets':[]}");
	check("", NULL, "{'resources':{'cpu':'2'}}", "{'resources':{'cpu':'2'}}");
}

#define BEFORE                                                                                                         \
	"{'containers':[{'image':'app:1','name':'c','command':['/app'],'env':[{'name':'A','value':'b'}],"              \
	"'resources':{'cpu':1,'memory':'1Gi'},'probes':[{'type':'Startup','tcpSocket':{'port':1}},"                    \
	"{'type':'Liveness','tcpSocket':{'port':2}}]}],'ingress':{'targetPort':80}}"

static void an_update_keeps_what_it_does_not_name(void **state)
{
	(void)state;
	check("--image app:2", BEFORE, NULL,
	      "{'customContainerTemplate':{'containers':[{'image':'app:2','name':'c','command':['/app'],"
	      "'env':[{'name':'A','value':'b'}],'resources':{'cpu':1,'memory':'1Gi'},'probes':["
	      "{'type':'Startup','tcpSocket':{'port':1}},{'type':'Liveness','tcpSocket':{'port':2}}]}]}}");
	check("--command '' --env-vars X=y --args a '' --startup-probe '' --liveness-probe http:9/x", BEFORE,
	      "{'resources':{'memory':'2Gi'}}",
	      "{'customContainerTemplate':{'containers':[{'image':'app:1','name':'c','command':[],'args':['a',''],"
	      "'env':[{'name':'X','value':'y'}],'resources':{'cpu':1,'memory':'2Gi'},'probes':["
	      "{'type':'Liveness','httpGet':{'path':'/x','port':9}}]}]}}");
	check("--target-port 8081 --snapshot Running", BEFORE, "{'resources':{'cpu':'2'}}",
	      "{'resources':{'cpu':'2'},'customContainerTemplate':{'ingress':{'targetPort':8081},'snapshot':'Running'}"
	      "}");
}

static void what_cannot_be_used_says_why(void **state)
{
	static const char *const probes[] = {
		"8080",     "http:",  "http:x", "http:0/", "http:65536", "http:80x",  "tcp:",
		"tcp:80/x", "tcp:-1", "tcp:+1", "udp:53",  "http:/x",    "https:443", "tcp:99999999999999999999"
	};
	struct options o;
	char line[128];

	(void)state;
	check_bad("--args x", NULL, "--image is missing");
	check_bad("--target-port 80", NULL, "hearth image ls");
	check_bad("--image i --env-vars A", NULL, "--env-vars takes NAME=value, or NAME=secretref:SECRET, not 'A'");
	check_bad("--image i --env-vars =b", NULL, "NAME=value");
	check_bad("--image i --env-vars A=b A=c", NULL, "--env-vars names A twice");
	check_bad("--image i --env-vars A=b ''", NULL, "NAME=value");
	check_bad("--image i --env-vars A=\xff", NULL, "--env-vars takes text in UTF-8");
	check_bad("--image \xff", NULL, "--image takes text in UTF-8");
	check_bad("--image i --args \xff", NULL, "--args takes text in UTF-8");
	check_bad("--secrets =hidden", NULL, "--secrets takes NAME=value");
	assert_null(strstr(err.text, "hidden"));
	check_bad("--secrets a=hidden a", NULL, "--secrets names a twice");
	assert_null(strstr(err.text, "hidden"));
	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		snprintf(line, sizeof(line), "--image i --readiness-probe %s", probes[i]);
		check_bad(line, NULL, "--readiness-probe takes http:PORT/PATH or tcp:PORT");
	}
	parse(&o, "--secrets a=b");
	assert_false(pool_container_is_meant(&o));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_pool_gets_what_is_named),
		cmocka_unit_test(an_update_keeps_what_it_does_not_name),
		cmocka_unit_test(what_cannot_be_used_says_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
