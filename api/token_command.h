/*
 * Runs the command of an identity and takes what it prints for a token: the text itself, or an object with access_token
 * (or accessToken, as Azure's tools have it) and perhaps expires_on, in seconds since 1970.
 */
#ifndef HEARTH_API_TOKEN_COMMAND_H
#define HEARTH_API_TOKEN_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct token_command;

struct token_text {
	char *token;        /* owned */
	int64_t expires_on; /* 0: it does not say */
};

/* What was printed, taken apart. False if that holds no token; token_text_fini() in any case. */
bool token_text_parse(struct token_text *parsed, const char *text, size_t size);
void token_text_fini(struct token_text *parsed);

/* `token` is NULL if there is none, which the log explains; `expires_on` is 0 if the command does not say. */
typedef void (*token_command_done)(void *data, const char *token, int64_t expires_on);

/*
 * Starts it, without a shell, {resource} in its arguments replaced; `name` is the identity's, for the log, and lives as
 * long. Answers once, within ten seconds, not from within the call. NULL if it cannot be started; the log says why.
 */
struct token_command *token_command_run(uv_loop_t *loop, const char *name, char *const *arguments, const char *resource,
					token_command_done done, void *data);

#endif
