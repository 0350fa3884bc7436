/* hearth session logs: what the container of a session writes, each of its streams to the one of that name. */
#ifndef HEARTH_API_CLI_SESSION_LOGS_H
#define HEARTH_API_CLI_SESSION_LOGS_H

#include "service.h"

/*
 * `route` is that of logs. With `is_following` it goes on until the session is over, or until a signal comes, which then is
 * its end as good as any. 0, or negative with *err set.
 */
int session_logs(struct service *s, const char *route, const char *session, bool is_following, struct error *err);

#endif
