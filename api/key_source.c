#include "api/key_source.h"

#include "api/buffer.h"
#include "common/cleanup.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>

enum {
	TIMEOUT_S = 10,
};

bool key_source_is_url(const char *where)
{
	return strstr(where, "://") != NULL;
}

/* 127.0.0.1.example is a name like any other. */
static bool is_loopback(const char *host)
{
	struct in_addr address;

	if (inet_pton(AF_INET, host, &address) == 1)
		return ntohl(address.s_addr) >> 24 == 127;
	return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0;
}

int key_source_check(const char *where, struct error *err)
{
	CURLU *url = key_source_is_url(where) ? curl_url() : NULL;
	char *scheme = NULL, *host = NULL;
	bool is_good;

	if (!key_source_is_url(where))
		return 0;
	is_good = url && !curl_url_set(url, CURLUPART_URL, where, 0) &&
		  !curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) && !curl_url_get(url, CURLUPART_HOST, &host, 0) &&
		  (strcmp(scheme, "https") == 0 || (strcmp(scheme, "http") == 0 && is_loopback(host)));
	curl_free(scheme);
	curl_free(host);
	curl_url_cleanup(url);
	return is_good ? 0 : error_set(err, EINVAL, "%s is neither https:// nor http:// on a loopback address", where);
}

/* ---- a file ------------------------------------------------------------------------------------------------------ */

static int read_file(const char *path, struct buffer *text, struct error *err)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : 1;

	while (n > 0 && text->size <= JWKS_SIZE_MAX && buffer_reserve(text, 64 << 10)) {
		n = read(fd, text->data + text->size, 64 << 10);
		text->size += n > 0 ? (size_t)n : 0;
	}
	if (n < 0)
		return error_set(err, errno, "cannot read the keys in %s: %s", path, strerror(errno));
	return 0;
}

/* ---- a URL ------------------------------------------------------------------------------------------------------- */

/* A byte more than the limit says that there was more. */
static size_t on_data(char *data, size_t one, size_t size, void *context)
{
	struct buffer *text = context;

	if (text->size + size > JWKS_SIZE_MAX + 1)
		return 0;
	buffer_put(text, data, size);
	return text->failed ? 0 : one * size;
}

static int on_progress(void *context, curl_off_t total, curl_off_t now, curl_off_t upload_total, curl_off_t upload_now)
{
	const atomic_bool *cancelled = context;

	(void)total;
	(void)now;
	(void)upload_total;
	(void)upload_now;
	return atomic_load(cancelled);
}

/* No redirection is followed: the address of the keys is what the configuration says. */
static void set_options(CURL *easy, const char *url, const atomic_bool *cancelled, struct buffer *text)
{
	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "hearthd");
	curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
	curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(easy, CURLOPT_XFERINFODATA, (void *)(uintptr_t)cancelled);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, text);
	if (strncmp(url, "http://", 7) == 0)
		curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* a proxy's 127.0.0.1 is another machine */
}

static int fetch(const char *url, const atomic_bool *cancelled, struct buffer *text, struct error *err)
{
	CURL *easy = curl_easy_init();
	CURLcode rc = CURLE_OUT_OF_MEMORY;
	long status = 0;

	if (easy) {
		set_options(easy, url, cancelled, text);
		rc = curl_easy_perform(easy);
		curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
		curl_easy_cleanup(easy);
	}
	if (rc == CURLE_OK && status == 200)
		return 0;
	return error_set(err, EIO, "cannot get the keys at %s: %s (HTTP status %ld)", url, curl_easy_strerror(rc),
			 status);
}

struct jwks *key_source_read(const char *where, const atomic_bool *cancelled, struct error *err)
{
	struct buffer text = { 0 };
	struct jwks *keys = NULL;
	int rc = key_source_is_url(where) ? fetch(where, cancelled, &text, err) : read_file(where, &text, err);

	if (rc == 0 && text.failed)
		error_set(err, ENOMEM, "out of memory");
	else if (rc == 0) {
		keys = jwks_parse(text.data ? text.data : "", text.size, err);
		if (!keys)
			error_wrap(err, "the set of keys %s cannot be used", where);
	}
	buffer_fini(&text);
	return keys;
}
