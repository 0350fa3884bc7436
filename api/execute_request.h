/* The body of a request to execute code, in all the forms that clients send, as one struct. */
#ifndef HEARTH_API_EXECUTE_REQUEST_H
#define HEARTH_API_EXECUTE_REQUEST_H

#include "common/agent_protocol.h"
#include "common/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct execute_request {
	char *code; /* UTF-8, may hold NUL; of AGENT_SHELL as the agent has it; owned */
	size_t code_size;
	enum agent_language language; /* 0: none was named; AGENT_SHELL: it is a command */
	char *identifier;             /* of the body; NULL if it has none; owned */
	int64_t timeout_s;            /* as the client wants it; 0: the default */
	int64_t output_limit;         /* likewise, in bytes of each stream */
	bool return_display_data;
	bool return_error_data;     /* an exception apart from stderr */
	bool return_jupyter_format; /* the result as a notebook shows it */
	bool use_empty_kernel;
	bool leave_no_trace;
	bool is_asynchronous;
};

/* Codes of struct error of execute_request_parse(); each is a kind of answer. */
enum execute_request_error {
	EXECUTE_REQUEST_MALFORMED = 1000, /* not JSON */
	EXECUTE_REQUEST_INVALID,          /* a field has a wrong type or value */
	EXECUTE_REQUEST_NO_CODE,          /* nor a command, where that is wanted */
	EXECUTE_REQUEST_TOO_LARGE,        /* the code */
};

/*
 * 0 with *request filled, or negative with *err filled. Call execute_request_fini() in either case. `is_shell`: the request
 * is to tell a command; otherwise code, and then what it says of a command is passed over.
 */
int execute_request_parse(struct execute_request *request, bool is_shell, const char *body, size_t size,
			  struct error *err);

/*
 * Makes the command of `fields` (shell_code_read()) the code of *request, which has none yet. 0, or negative with *err filled.
 * Call execute_request_fini() in either case.
 */
int execute_request_take_command(struct execute_request *request, const json_t *fields, struct error *err);

void execute_request_fini(struct execute_request *request);

#endif
