#include "certificate.h"
#include "common/cleanup.h"
#include "exit_status.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum {
	AUTHORITY_DAYS = 3650,
	DAY_S = 86400,
	SERIAL_BYTES = 16,
	HOST_MAX = 253,
	PEM_MAX = 64 << 10,
};

/* A certificate and its key. */
struct identity {
	gnutls_x509_crt_t certificate;
	gnutls_x509_privkey_t key;
};

static int fail(const char *what, int rc, struct error *err)
{
	return error_set(err, STATUS_SERVICE, "cannot make %s: %s", what, gnutls_strerror(rc));
}

static int identity_init(struct identity *i, struct error *err)
{
	int rc = gnutls_x509_crt_init(&i->certificate);

	if (rc >= 0)
		rc = gnutls_x509_privkey_init(&i->key);
	return rc < 0 ? fail("a certificate", rc, err) : 0;
}

static void identity_fini(struct identity *i)
{
	if (i->certificate)
		gnutls_x509_crt_deinit(i->certificate);
	if (i->key)
		gnutls_x509_privkey_deinit(i->key);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* Under another name first: nobody finds half a file, or a key that others may read. */
static int write_file(const char *directory, const char *name, mode_t mode, const gnutls_datum_t *text,
		      struct error *err)
{
	char path[PATH_MAX], new_path[PATH_MAX + 8];
	ssize_t n = -1;

	if (snprintf(path, sizeof(path), "%s/%s", directory, name) >= (int)sizeof(path))
		return error_set(err, STATUS_USAGE, "the path of %s is too long", name);
	snprintf(new_path, sizeof(new_path), "%s.new", path);
	unlink(new_path);
	{
		AUTO_FD int fd = open(new_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

		if (fd >= 0)
			n = write(fd, text->data, text->size);
	}
	if (n != (ssize_t)text->size || rename(new_path, path) < 0)
		return error_set(err, STATUS_SERVICE, "cannot write %s: %s", path, strerror(errno));
	return 0;
}

static int write_identity(const struct identity *i, const char *directory, const char *name, const char *key_name,
			  struct error *err)
{
	gnutls_datum_t certificate = { 0 }, key = { 0 };
	int rc = gnutls_x509_crt_export2(i->certificate, GNUTLS_X509_FMT_PEM, &certificate);

	if (rc >= 0)
		rc = gnutls_x509_privkey_export2_pkcs8(i->key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &key);
	if (rc < 0)
		rc = fail(name, rc, err);
	else
		rc = write_file(directory, key_name, 0600, &key, err);
	if (rc == 0)
		rc = write_file(directory, name, 0644, &certificate, err);
	if (key.data)
		explicit_bzero(key.data, key.size);
	gnutls_free(key.data);
	gnutls_free(certificate.data);
	return rc;
}

/* 1 with *text filled up to PEM_MAX, 0 if there is no such file, negative with *err set. */
static int read_file(const char *directory, const char *name, char text[PEM_MAX], gnutls_datum_t *datum,
		     struct error *err)
{
	char path[PATH_MAX];
	ssize_t n;

	if (snprintf(path, sizeof(path), "%s/%s", directory, name) >= (int)sizeof(path))
		return error_set(err, STATUS_USAGE, "the path of %s is too long", name);
	{
		AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);

		if (fd < 0 && errno == ENOENT)
			return 0;
		n = fd < 0 ? -1 : read(fd, text, PEM_MAX);
	}
	if (n < 0)
		return error_set(err, STATUS_SERVICE, "cannot read %s: %s", path, strerror(errno));
	*datum = (gnutls_datum_t) { (unsigned char *)text, (unsigned int)n };
	return 1;
}

/* ---- certificates ------------------------------------------------------------------------------------------------ */

static int set_common(struct identity *i, const char *name, long days)
{
	unsigned char serial[SERIAL_BYTES], key_id[64];
	size_t key_id_size = sizeof(key_id);
	time_t now = time(NULL);
	int rc = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial));

	serial[0] = (serial[0] & 0x7f) | 0x40; /* positive, and as long as it is */
	if (rc >= 0)
		rc = gnutls_x509_privkey_generate(i->key, GNUTLS_PK_ECDSA,
						  GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
	if (rc >= 0)
		rc = gnutls_x509_crt_set_version(i->certificate, 3);
	if (rc >= 0)
		rc = gnutls_x509_crt_set_serial(i->certificate, serial, sizeof(serial));
	if (rc >= 0)
		rc = gnutls_x509_crt_set_key(i->certificate, i->key);
	if (rc >= 0)
		rc = gnutls_x509_crt_set_dn(i->certificate, name, NULL);
	/* An hour back, for machines whose clock is behind. */
	if (rc >= 0)
		rc = gnutls_x509_crt_set_activation_time(i->certificate, now - 3600);
	if (rc >= 0)
		rc = gnutls_x509_crt_set_expiration_time(i->certificate, now + (time_t)days * DAY_S);
	if (rc >= 0)
		rc = gnutls_x509_crt_get_key_id(i->certificate, 0, key_id, &key_id_size);
	if (rc >= 0)
		rc = gnutls_x509_crt_set_subject_key_id(i->certificate, key_id, key_id_size);
	return rc;
}

static int sign(struct identity *i, const struct identity *authority)
{
	unsigned char key_id[64];
	size_t size = sizeof(key_id);
	int rc = gnutls_x509_crt_get_subject_key_id(authority->certificate, key_id, &size, NULL);

	if (rc >= 0)
		rc = gnutls_x509_crt_set_authority_key_id(i->certificate, key_id, size);
	if (rc >= 0)
		rc = gnutls_x509_crt_sign2(i->certificate, authority->certificate, authority->key, GNUTLS_DIG_SHA256,
					   0);
	return rc;
}

static int make_authority(struct identity *i, struct error *err)
{
	int rc = set_common(i, "CN=Hearth development CA", AUTHORITY_DAYS);

	/* It signs servers' certificates and no further authorities. */
	if (rc >= 0)
		rc = gnutls_x509_crt_set_basic_constraints(i->certificate, 1, 0);
	if (rc >= 0)
		rc = gnutls_x509_crt_set_key_usage(i->certificate, GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN);
	if (rc >= 0)
		rc = sign(i, i);
	return rc < 0 ? fail("a certificate authority", rc, err) : 0;
}

static int add_host(gnutls_x509_crt_t certificate, const char *host)
{
	struct in6_addr v6;
	struct in_addr v4;

	if (inet_pton(AF_INET, host, &v4) == 1)
		return gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_IPADDRESS, &v4, sizeof(v4),
							    GNUTLS_FSAN_APPEND);
	if (inet_pton(AF_INET6, host, &v6) == 1)
		return gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_IPADDRESS, &v6, sizeof(v6),
							    GNUTLS_FSAN_APPEND);
	return gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_DNSNAME, host, (unsigned int)strlen(host),
						    GNUTLS_FSAN_APPEND);
}

static bool is_host(const char *host)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:*";

	return *host && strlen(host) <= HOST_MAX && host[strspn(host, letters)] == '\0';
}

static int make_server(struct identity *i, const struct identity *authority, const struct certificate_order *order,
		       struct error *err)
{
	int rc = set_common(i, "CN=Hearth", order->days);

	if (rc >= 0)
		rc = gnutls_x509_crt_set_basic_constraints(i->certificate, 0, -1);
	if (rc >= 0)
		rc = gnutls_x509_crt_set_key_usage(i->certificate, GNUTLS_KEY_DIGITAL_SIGNATURE);
	if (rc >= 0)
		rc = gnutls_x509_crt_set_key_purpose_oid(i->certificate, GNUTLS_KP_TLS_WWW_SERVER, 0);
	for (size_t n = 0; rc >= 0 && n < order->n_hosts; n++) {
		if (!is_host(order->hosts[n]))
			return error_set(err, STATUS_USAGE, "'%s' is no host's name or address", order->hosts[n]);
		rc = add_host(i->certificate, order->hosts[n]);
	}
	if (rc >= 0)
		rc = sign(i, authority);
	return rc < 0 ? fail("the server's certificate", rc, err) : 0;
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

/* The one that is there goes on, so that clients need not be told of another. */
static int load_authority(struct identity *i, const char *directory, struct error *err)
{
	char certificate_text[PEM_MAX], key_text[PEM_MAX];
	gnutls_datum_t certificate, key;
	int has_certificate = read_file(directory, "ca.pem", certificate_text, &certificate, err);
	int has_key = has_certificate < 0 ? has_certificate : read_file(directory, "ca-key.pem", key_text, &key, err);
	int rc;

	if (has_key < 0)
		return has_key;
	if (has_certificate != has_key)
		return error_set(err, STATUS_USAGE,
				 "%s has one of ca.pem and ca-key.pem only: put back the other, or remove it",
				 directory);
	if (!has_key)
		return 0;
	rc = gnutls_x509_crt_import(i->certificate, &certificate, GNUTLS_X509_FMT_PEM);
	if (rc >= 0)
		rc = gnutls_x509_privkey_import2(i->key, &key, GNUTLS_X509_FMT_PEM, NULL, 0);
	explicit_bzero(key_text, sizeof(key_text));
	if (rc < 0)
		return error_set(err, STATUS_USAGE, "ca.pem and ca-key.pem in %s cannot be used: %s", directory,
				 gnutls_strerror(rc));
	return 1;
}

static int make_both(struct identity *authority, struct identity *server, const struct certificate_order *order,
		     struct error *err)
{
	int is_there, rc;

	if (identity_init(authority, err) < 0 || identity_init(server, err) < 0)
		return -err->code;
	is_there = load_authority(authority, order->directory, err);
	if (is_there < 0)
		return is_there;
	if (!is_there) {
		rc = make_authority(authority, err);
		if (rc == 0)
			rc = write_identity(authority, order->directory, "ca.pem", "ca-key.pem", err);
		if (rc < 0)
			return rc;
	}
	rc = make_server(server, authority, order, err);
	return rc < 0 ? rc : write_identity(server, order->directory, "server.pem", "server-key.pem", err);
}

int certificate_make(const struct certificate_order *order, struct error *err)
{
	struct identity authority = { 0 }, server = { 0 };
	int rc;

	if (mkdir(order->directory, 0755) < 0 && errno != EEXIST)
		return error_set(err, STATUS_USAGE, "cannot make the folder %s: %s", order->directory, strerror(errno));
	rc = make_both(&authority, &server, order, err);
	identity_fini(&authority);
	identity_fini(&server);
	return rc;
}
