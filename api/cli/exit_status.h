/* What `hearth` exits with. A struct error's code is one of these in all of the command. */
#ifndef HEARTH_API_CLI_EXIT_STATUS_H
#define HEARTH_API_CLI_EXIT_STATUS_H

enum exit_status {
	STATUS_OK = 0,
	STATUS_CODE_FAILED = 1, /* the code raised, was interrupted by its time limit, or its interpreter died */
	STATUS_USAGE = 2,       /* the command line, or the code, cannot be used as it is */
	STATUS_SERVICE = 3,     /* the service, the way to it, or this machine did not do its part */
	STATUS_NOT_FOUND = 4,   /* there is no pool, session, template or image of that name */
	STATUS_SIGNAL = 128,    /* plus the number of the signal that ended it */
};

#endif
