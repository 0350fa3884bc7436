/*
 * An addon of the Node driver: has the OpenSSL that is in Node draw from the kernel again. OpenSSL does so by itself
 * only in a forked process, once an hour, or after 2^24 requests; JavaScript has no way to ask for it.
 *
 * The functions are those that Node exports to addons: Node-API, declared here because its headers need not be
 * installed, and RAND_add() of OpenSSL 3, which reseeds the primary generator; those of all threads follow it at their
 * next request.
 */
#include <stddef.h>
#include <string.h>

typedef struct napi_env__ *napi_env;
typedef struct napi_value__ *napi_value;
typedef struct napi_callback_info__ *napi_callback_info;
typedef napi_value (*napi_callback)(napi_env env, napi_callback_info info);

extern int napi_create_function(napi_env env, const char *name, size_t length, napi_callback call, void *data,
				napi_value *result);
extern int napi_get_cb_info(napi_env env, napi_callback_info info, size_t *argc, napi_value *argv, napi_value *self,
			    void **data);
extern int napi_get_buffer_info(napi_env env, napi_value value, void **data, size_t *length);
extern int napi_throw_type_error(napi_env env, const char *code, const char *message);

extern void RAND_add(const void *bytes, int count, double entropy);

napi_value napi_register_module_v1(napi_env env, napi_value exports);

/* reseed(buffer): the bytes are mixed in, beside what OpenSSL draws from the kernel. */
static napi_value reseed(napi_env env, napi_callback_info info)
{
	napi_value argument;
	size_t count = 1, length;
	void *data;

	if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != 0 || count != 1 ||
	    napi_get_buffer_info(env, argument, &data, &length) != 0 || length > 4096) {
		napi_throw_type_error(env, NULL, "reseed() takes a buffer of at most 4096 bytes");
		return NULL;
	}
	RAND_add(data, (int)length, (double)length);
	return NULL;
}

/* The module is the function. */
napi_value napi_register_module_v1(napi_env env, napi_value exports)
{
	static const char name[] = "reseed";
	napi_value function;

	return napi_create_function(env, name, strlen(name), reseed, NULL, &function) == 0 ? function : exports;
}
