/*
 * For tests/agent/test_unique.py: an addon of Node whose function clones the process into a PID namespace of its own and
 * returns what clone() returns. Both are process 1 in their namespaces then, so that nothing in the process can tell
 * that it was cloned: as in a VM that was restored twice.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct napi_env__ *napi_env;
typedef struct napi_value__ *napi_value;
typedef struct napi_callback_info__ *napi_callback_info;

extern int napi_create_function(napi_env env, const char *name, size_t length,
				napi_value (*call)(napi_env env, napi_callback_info info), void *data,
				napi_value *result);
extern int napi_create_int32(napi_env env, int value, napi_value *result);

napi_value napi_register_module_v1(napi_env env, napi_value exports);

/* V8 marks its heap as not to be copied to children. */
static void share_all_with_children(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	uintptr_t start, end;
	char line[512];

	while (maps && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &start, &end) == 2)
			madvise((void *)start, end - start, MADV_DOFORK);
	if (maps)
		fclose(maps);
}

static napi_value clone_process(napi_env env, napi_callback_info info)
{
	napi_value result = NULL;
	long pid;

	(void)info;
	share_all_with_children();
	pid = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
	napi_create_int32(env, (int)pid, &result);
	return result;
}

napi_value napi_register_module_v1(napi_env env, napi_value exports)
{
	napi_value function;

	return napi_create_function(env, "clone", 5, clone_process, NULL, &function) == 0 ? function : exports;
}
