#include "api/issuer.h"
#include "tests/unit/jwt_helper.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#define NOW_MS 1700000000000
#define CLAIMS "{\"iss\":\"i\",\"aud\":\"a\",\"exp\":1700000600,\"roles\":\"executor\"}"

static uv_loop_t loop;
static struct signer first, second;
static char path[] = "/tmp/test-issuer-XXXXXX";

static int set_up(void **state)
{
	(void)state;
	uv_loop_init(&loop);
	first = signer_make(false, 0);
	second = signer_make(false, 0);
	close(mkstemp(path));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	signer_free(&first);
	signer_free(&second);
	unlink(path);
	return uv_loop_close(&loop);
}

static void publish(const struct signer *s, const char *id)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fprintf(file, "{\"keys\":[{\"kid\":\"%s\",%s}]}", id, s->jwk);
	fclose(file);
}

static struct issuer *open_issuer(const char *where, struct error *err)
{
	const struct issuer_settings settings = {
		.keys = where,
		.rules = { "i", "a", "roles", "pools", -1 },
	};

	return issuer_create(&loop, &settings, err);
}

static bool is_known(struct issuer *issuer, const struct signer *s, const char *id)
{
	struct principal principal;
	const char *why = NULL;
	char header[64], *token;
	bool known;

	snprintf(header, sizeof(header), "{\"alg\":\"ES256\",\"kid\":\"%s\"}", id);
	token = sign(s, header, CLAIMS);
	known = issuer_identify(issuer, token, NOW_MS, &principal, &why);
	assert_int_equal(known, !why);
	free(token);
	return known;
}

static void run_for(unsigned int ms)
{
	while (ms--) {
		uv_run(&loop, UV_RUN_NOWAIT);
		usleep(1000);
	}
}

static void an_unknown_key_makes_it_look_anew_but_not_too_often(void **state)
{
	struct error err = { 0 };
	struct issuer *issuer;

	(void)state;
	publish(&first, "k1");
	issuer = open_issuer(path, &err);
	assert_non_null(issuer);
	assert_true(is_known(issuer, &first, "k1"));
	publish(&second, "k2");
	run_for(50);
	assert_true(is_known(issuer, &first, "k1"));
	assert_false(is_known(issuer, &second, "k2"));
	run_for(100);
	assert_true(is_known(issuer, &second, "k2"));
	assert_false(is_known(issuer, &first, "k1"));
	/* Ten seconds have not gone by. */
	publish(&first, "k3");
	assert_false(is_known(issuer, &first, "k3"));
	run_for(100);
	assert_false(is_known(issuer, &first, "k3"));
	assert_true(is_known(issuer, &second, "k2"));
	issuer_close(issuer);
	uv_run(&loop, UV_RUN_DEFAULT);
}

static void keys_stay_when_a_look_fails(void **state)
{
	struct error err = { 0 };
	struct issuer *issuer;
	FILE *file;

	(void)state;
	publish(&first, "k1");
	issuer = open_issuer(path, &err);
	assert_non_null(issuer);
	file = fopen(path, "w");
	fputs("{\"keys\":", file);
	fclose(file);
	assert_false(is_known(issuer, &second, "k2"));
	run_for(100);
	assert_true(is_known(issuer, &first, "k1"));
	issuer_close(issuer);
	uv_run(&loop, UV_RUN_DEFAULT);
}

static void what_cannot_be_used_is_said_at_the_start(void **state)
{
	static const char *const places[] = {
		"/nonexistent/keys.json",
		"/dev/null",
		"http://issuer.example/keys",
		"http://127.0.0.1.example/keys",
		"ftp://127.0.0.1/keys",
		"file:///etc/passwd",
		"https://",
	};
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct issuer *issuer = open_issuer(places[i], &err);

		if (issuer)
			fail_msg("%s was taken", places[i]);
		assert_true(strlen(err.text) > 0);
	}
}

/* A server that takes the connection and never answers. */
static void closing_does_not_wait_for_a_silent_server(void **state)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct error err = { 0 };
	struct issuer *issuer;
	char url[64];
	uint64_t began;

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(fd, 5), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/keys", ntohs(address.sin_port));
	issuer = open_issuer(url, &err);
	assert_non_null(issuer);
	run_for(50);
	assert_false(is_known(issuer, &first, "k1"));
	began = uv_hrtime();
	issuer_close(issuer);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_in_range((uv_hrtime() - began) / 1000000, 0, 4000);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_unknown_key_makes_it_look_anew_but_not_too_often),
		cmocka_unit_test(keys_stay_when_a_look_fails),
		cmocka_unit_test(what_cannot_be_used_is_said_at_the_start),
		cmocka_unit_test(closing_does_not_wait_for_a_silent_server),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
