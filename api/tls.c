#include "api/tls.h"

#include "common/cleanup.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum {
	FILE_MAX = 1 << 20,
};

/* The whole file as a text, or NULL with *err filled. */
static char *read_text(const char *what, const char *path, struct error *err)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	AUTO_FREE char *text = malloc(FILE_MAX + 1);
	ssize_t n = 1;
	size_t size = 0;

	if (!text) {
		error_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	for (; fd >= 0 && n > 0 && size<FILE_MAX; size += n> 0 ? (size_t)n : 0)
		n = read(fd, text + size, FILE_MAX - size);
	if (fd < 0 || n < 0) {
		error_set(err, errno, "cannot read %s %s: %s", what, path, strerror(errno));
		return NULL;
	}
	text[size] = '\0';
	if (size == FILE_MAX || strlen(text) != size) {
		error_set(err, EINVAL, "%s %s is no text in PEM", what, path);
		return NULL;
	}
	return STEAL(&text);
}

static void warn_of_times(const char *path, gnutls_certificate_credentials_t credentials)
{
	gnutls_x509_crt_t *list;
	unsigned int n = 0;
	time_t now = time(NULL);

	if (gnutls_certificate_get_x509_crt(credentials, 0, &list, &n) < 0)
		return;
	if (n > 0 && gnutls_x509_crt_get_expiration_time(list[0]) < now)
		log_warn("tls-certificate %s has expired", path);
	else if (n > 0 && gnutls_x509_crt_get_activation_time(list[0]) > now)
		log_warn("tls-certificate %s is not valid yet", path);
	for (unsigned int i = 0; i < n; i++)
		gnutls_x509_crt_deinit(list[i]);
	gnutls_free(list);
}

static int check(const struct tls_pair *pair, const char *certificate, const char *key, struct error *err)
{
	const gnutls_datum_t c = { (unsigned char *)pair->certificate, (unsigned int)strlen(pair->certificate) };
	const gnutls_datum_t k = { (unsigned char *)pair->key, (unsigned int)strlen(pair->key) };
	gnutls_certificate_credentials_t credentials;
	int rc = gnutls_certificate_allocate_credentials(&credentials);

	if (rc < 0)
		return error_set(err, ENOMEM, "%s", gnutls_strerror(rc));
	rc = gnutls_certificate_set_x509_key_mem2(credentials, &c, &k, GNUTLS_X509_FMT_PEM, NULL, 0);
	if (rc >= 0)
		warn_of_times(certificate, credentials);
	gnutls_certificate_free_credentials(credentials);
	return rc >= 0 ? 0
		       : error_set(err, EINVAL, "tls-certificate %s with tls-key %s: %s", certificate, key,
				   gnutls_strerror(rc));
}

int tls_pair_load(struct tls_pair *pair, const char *certificate, const char *key, struct error *err)
{
	struct stat st;

	*pair = (struct tls_pair) { 0 };
	pair->certificate = read_text("tls-certificate", certificate, err);
	if (!pair->certificate)
		return -err->code;
	pair->key = read_text("tls-key", key, err);
	if (!pair->key)
		return -err->code;
	if (stat(key, &st) == 0 && (st.st_mode & 077))
		log_warn("tls-key %s can be read by others: chmod 600 it", key);
	return check(pair, certificate, key, err);
}

void tls_pair_fini(struct tls_pair *pair)
{
	if (pair->key)
		explicit_bzero(pair->key, strlen(pair->key));
	free(pair->key);
	free(pair->certificate);
	*pair = (struct tls_pair) { 0 };
}
