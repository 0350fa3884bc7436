/* Identities: their file, their tokens, and the socket at which a guest asks for them. */
#include "api/token_source.h"

#include "api/token_listener.h"
#include "common/agent_protocol.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static char folder[] = "/tmp/test-tokens-XXXXXX";
static char file[64], counter[64], socket_path[64], token_path[64];
static uv_loop_t loop;

static struct {
	char token[TOKEN_MAX + 1];
	int64_t expires_on;
	unsigned int status;
	unsigned int n;
} got;

static void on_token(void *data, const char *token, int64_t expires_on, unsigned int status, const char *problem)
{
	(void)data;
	assert_true((token != NULL) == (status == 200) && (problem != NULL) == (status != 200));
	snprintf(got.token, sizeof(got.token), "%s", token ? token : "");
	got.expires_on = expires_on;
	got.status = status;
	got.n++;
}

static void write_text(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	chmod(path, mode);
}

static struct token_sources *load(const char *text)
{
	struct token_sources *all;
	struct error err = { 0 };

	write_text(file, text, 0600);
	all = token_sources_load(&loop, file, &err);
	if (!all)
		fail_msg("%s: %s", text, err.text);
	return all;
}

static void check_refused(const char *text, mode_t mode, const char *part)
{
	struct error err = { 0 };

	write_text(file, text, mode);
	assert_null(token_sources_load(&loop, file, &err));
	if (!strstr(err.text, part))
		fail_msg("\"%s\" is not in \"%s\"", part, err.text);
}

static void get(struct token_sources *all, const char *name, const char *resource)
{
	struct token_source *s = token_sources_find(all, name);

	assert_non_null(s);
	memset(&got, 0, sizeof(got));
	token_source_get(s, resource, on_token, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(got.n, 1);
}

static void a_file_that_makes_no_sense_is_refused(void **state)
{
	(void)state;
	check_refused("{}", 0644, "chmod 600");
	check_refused("[]", 0600, "must be a JSON object");
	check_refused("{", 0600, "line 1");
	check_refused("{\"a\":3}", 0600, "identity 'a'");
	check_refused("{\"a\":{}}", 0600, "either token or file");
	check_refused("{\"a\":{\"token\":\"t\",\"file\":\"/f\"}}", 0600, "either token or file");
	check_refused("{\"a\":{\"token\":\"t\",\"resource\":[\"r\"]}}", 0600, "either token or file");
	check_refused("{\"a\":{\"command\":\"/bin/true\"}}", 0600, "a list");
	check_refused("{\"a\":{\"command\":[],\"resources\":[\"r\"]}}", 0600, "a list");
	check_refused("{\"a\":{\"command\":[\"true\"],\"resources\":[\"r\"]}}", 0600, "full path");
	check_refused("{\"a\":{\"command\":[\"/bin/true\"]}}", 0600, "needs resources");
	check_refused("{\"a\":{\"token\":\"t\",\"resources\":[1]}}", 0600, "resources must be a list");
	check_refused("{\"a\":{\"token\":\"t\",\"lifetimeInSeconds\":0}}", 0600, "lifetimeInSeconds");
	check_refused("{\"a\":{\"token\":\"t\"},\"a\":{\"token\":\"t\"}}", 0600, "duplicate");
}

static void without_a_file_there_are_no_identities(void **state)
{
	struct error err = { 0 };
	struct token_sources *all = token_sources_load(&loop, "", &err);

	(void)state;
	assert_non_null(all);
	assert_null(token_sources_find(all, "a"));
	token_sources_destroy(all);
}

static void a_token_is_for_the_resources_that_are_named(void **state)
{
	struct token_sources *all = load("{\"all\":{\"token\":\"t\",\"lifetimeInSeconds\":60},"
					 "\"some\":{\"token\":\"u\",\"resources\":[\"https://a.example/\"]}}");

	(void)state;
	get(all, "all", "anything");
	assert_string_equal(got.token, "t");
	assert_in_range(got.expires_on, time(NULL) + 58, time(NULL) + 61);
	get(all, "some", "https://a.example");
	assert_string_equal(got.token, "u");
	get(all, "some", "https://a.example.evil");
	assert_int_equal(got.status, 400);
	token_sources_destroy(all);
}

static void a_file_is_read_each_time(void **state)
{
	char text[128];
	struct token_sources *all;

	(void)state;
	snprintf(text, sizeof(text), "{\"a\":{\"file\":\"%s\"}}", token_path);
	all = load(text);
	get(all, "a", "r");
	assert_int_equal(got.status, 500);
	write_text(token_path, "first\n", 0600);
	get(all, "a", "r");
	assert_string_equal(got.token, "first");
	write_text(token_path, "{\"access_token\":\"second\",\"expires_on\":\"4102444800\"}", 0600);
	get(all, "a", "r");
	assert_string_equal(got.token, "second");
	assert_int_equal(got.expires_on, 4102444800);
	write_text(token_path, "two words", 0600);
	get(all, "a", "r");
	assert_int_equal(got.status, 500);
	token_sources_destroy(all);
}

static void a_token_in_a_file_is_whole_or_none(void **state)
{
	static char long_token[TOKEN_MAX + 2];
	char text[128];
	struct token_sources *all;

	(void)state;
	snprintf(text, sizeof(text), "{\"a\":{\"file\":\"%s\"}}", token_path);
	all = load(text);
	memset(long_token, 't', TOKEN_MAX);
	write_text(token_path, long_token, 0600);
	get(all, "a", "r");
	assert_int_equal(strlen(got.token), TOKEN_MAX);
	long_token[TOKEN_MAX] = 't';
	write_text(token_path, long_token, 0600);
	get(all, "a", "r");
	assert_int_equal(got.status, 500);
	unlink(token_path);
	token_sources_destroy(all);
}

static void check_command(const char *script, const char *token, unsigned int status)
{
	char text[512];
	struct token_sources *all;

	snprintf(text, sizeof(text),
		 "{\"a\":{\"command\":[\"/bin/sh\",\"-c\",\"%s\",\"sh\",\"{resource}\"],\"resources\":[\"r "
		 "one\",\"two\"]}}",
		 script);
	all = load(text);
	get(all, "a", "r one");
	assert_int_equal(got.status, status);
	assert_string_equal(got.token, token);
	token_sources_destroy(all);
}

static void a_command_prints_a_token(void **state)
{
	(void)state;
	check_command("echo abc", "abc", 200);
	check_command("printf %s $(echo $1 | tr ' ' -)", "r-one", 200);
	check_command("echo {\\\\\\\"accessToken\\\\\\\":\\\\\\\"xyz\\\\\\\"}", "xyz", 200);
	check_command("echo complaint >&2; echo abc; exit 3", "", 500);
	check_command("echo it is not so", "", 500);
	check_command("kill -9 $$", "", 500);
	check_command("yes", "", 500);
	check_command("true", "", 500);
}

static void the_token_of_a_command_is_kept_for_its_resource(void **state)
{
	char text[512];
	struct token_sources *all;

	(void)state;
	snprintf(text, sizeof(text),
		 "{\"a\":{\"command\":[\"/bin/sh\",\"-c\",\"echo x >> %s; wc -l < %s\"],\"resources\":[\"r\",\"s\"]}}",
		 counter, counter);
	all = load(text);
	get(all, "a", "r");
	assert_string_equal(got.token, "1");
	get(all, "a", "r/");
	assert_string_equal(got.token, "1");
	get(all, "a", "s");
	assert_string_equal(got.token, "2");
	token_sources_destroy(all);
}

static void too_many_commands_at_once_are_refused(void **state)
{
	struct token_sources *all =
		load("{\"a\":{\"command\":[\"/bin/sh\",\"-c\",\"sleep 0.2; echo x\"],\"resources\":[\"r\"]}}");
	struct token_request *first;

	(void)state;
	memset(&got, 0, sizeof(got));
	first = token_source_get(token_sources_find(all, "a"), "r", on_token, NULL);
	for (int i = 0; i < 4; i++)
		token_source_get(token_sources_find(all, "a"), "r", on_token, NULL);
	assert_int_equal(got.n, 1);
	assert_int_equal(got.status, 503);
	token_request_cancel(first);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(got.n, 4);
	assert_int_equal(got.status, 200);
	token_sources_destroy(all);
}

/* ---- the socket -------------------------------------------------------------------------------------------------- */

static int ask(const char *text)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(address.sun_path, socket_path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	return fd;
}

/* What is answered within a second. */
static const char *answer(int fd)
{
	static char text[4096];
	ssize_t n = -1;

	for (int i = 0; i < 1000 && n < 0; i++) {
		uv_run(&loop, UV_RUN_NOWAIT);
		n = recv(fd, text, sizeof(text) - 1, 0);
		usleep(1000);
	}
	text[n > 0 ? n : 0] = '\0';
	close(fd);
	return text;
}

static void a_guest_gets_a_token_for_its_secret(void **state)
{
	struct token_sources *all = load("{\"a\":{\"token\":\"t0k\",\"resources\":[\"r\"]}}");
	struct token_listener *l;
	char request[256];
	int fds[6], rc;

	(void)state;
	l = token_listener_open(&loop, socket_path, token_sources_find(all, "a"), &rc);
	assert_non_null(l);
	assert_int_equal(strlen(token_listener_secret(l)), AGENT_SECRET_SIZE);
	snprintf(request, sizeof(request),
		 "GET /msi/token?resource=r&api-version=2019-08-01 HTTP/1.1\r\nX-IDENTITY-HEADER: %s\r\n\r\n",
		 token_listener_secret(l));
	assert_non_null(strstr(answer(ask(request)), "\"access_token\":\"t0k\""));
	strstr(request, "resource=r")[9] = 'q';
	assert_non_null(strstr(answer(ask(request)), "400 Bad Request"));
	strstr(request, "HEADER: ")[8] ^= 1;
	assert_non_null(strstr(answer(ask(request)), "401 Unauthorized"));
	assert_non_null(strstr(answer(ask("\r\n\r\n")), "401"));
	strstr(request, "HEADER: ")[8] ^= 1;
	/* Who says nothing holds one of four places, and who comes after that waits for one. */
	for (int i = 0; i < 6; i++)
		fds[i] = ask("GET");
	for (int i = 0; i < 6; i++)
		close(fds[i]);
	strstr(request, "resource=q")[9] = 'r';
	assert_non_null(strstr(answer(ask(request)), "t0k"));
	fds[0] = ask("GET");
	token_listener_close(l);
	assert_string_equal(answer(fds[0]), "");
	assert_int_equal(access(socket_path, F_OK), -1);
	uv_run(&loop, UV_RUN_DEFAULT);
	token_sources_destroy(all);
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(file, sizeof(file), "%s/identities", folder);
	snprintf(counter, sizeof(counter), "%s/counter", folder);
	snprintf(socket_path, sizeof(socket_path), "%s/socket", folder);
	snprintf(token_path, sizeof(token_path), "%s/token", folder);
	return uv_loop_init(&loop);
}

static int tear_down(void **state)
{
	(void)state;
	unlink(file);
	unlink(counter);
	unlink(token_path);
	rmdir(folder);
	return uv_loop_close(&loop);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_that_makes_no_sense_is_refused),
		cmocka_unit_test(without_a_file_there_are_no_identities),
		cmocka_unit_test(a_token_is_for_the_resources_that_are_named),
		cmocka_unit_test(a_file_is_read_each_time),
		cmocka_unit_test(a_token_in_a_file_is_whole_or_none),
		cmocka_unit_test(a_command_prints_a_token),
		cmocka_unit_test(the_token_of_a_command_is_kept_for_its_resource),
		cmocka_unit_test(too_many_commands_at_once_are_refused),
		cmocka_unit_test(a_guest_gets_a_token_for_its_secret),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
