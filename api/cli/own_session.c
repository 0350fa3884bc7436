#include "own_session.h"
#include "exit_status.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

int own_session_name(char name[OWN_SESSION_SIZE], struct error *err)
{
	uint64_t number;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return error_set(err, STATUS_SERVICE, "cannot make a name for the session: %s", strerror(errno));
	snprintf(name, OWN_SESSION_SIZE, "cli-%016" PRIx64, number);
	return 0;
}
