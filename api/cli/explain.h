/* Why a request came to nothing, in a sentence that says what to do about it. */
#ifndef HEARTH_API_CLI_EXPLAIN_H
#define HEARTH_API_CLI_EXPLAIN_H

#include "buffer.h"
#include "common/error.h"

#include <curl/curl.h>
#include <stdbool.h>

struct failure {
	const char *url; /* of the service */
	bool is_loopback;
	CURL *easy;
	CURLcode result;
	const struct buffer *body; /* of the answer, as far as there was one */
};

/* Sets *err, with a code of enum exit_status. Returns -err->code. */
int explain(const struct failure *f, struct error *err);

#endif
