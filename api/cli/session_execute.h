/* hearth session code-interpreter execute: code in, the service's answer out, as az has it. */
#ifndef HEARTH_API_CLI_SESSION_EXECUTE_H
#define HEARTH_API_CLI_SESSION_EXECUTE_H

#include "command.h"

/* A command's run: STATUS_CODE_FAILED, without a word since the answer has said it, if the code failed. */
int session_execute(struct service *s, const struct options *o, struct error *err);

#endif
