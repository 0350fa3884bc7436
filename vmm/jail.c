#include "vmm/jail.h"

#include "common/pivot_root.h"
#include "common/user_namespace.h"
#include "vmm/capabilities.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <limits.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	NOBODY = 65534,
	THREADS_MAX = 24, /* 16 vCPUs, the main thread, the recorder, and KVM's own helper of the VM */
};

/* Where the new root is mounted: a folder that every machine has, and that holds none of the sockets that are shown. */
#define NEW_ROOT "/proc"
#define SOCKETS  "/vsock"

static bool did_pivot;

static int failed(struct error *err, const char *what)
{
	return error_set(err, errno, "%s: %s", what, strerror(errno));
}

/* ---- 1. descriptors ---------------------------------------------------------------------------------------------- */

/* The smallest of `kept` that is at least `from`; UINT_MAX if there is none. */
static unsigned next_kept(const int *kept, unsigned n_kept, unsigned from)
{
	unsigned next = UINT_MAX;

	for (unsigned i = 0; i < n_kept; i++)
		if (kept[i] >= 0 && (unsigned)kept[i] >= from && (unsigned)kept[i] < next)
			next = (unsigned)kept[i];
	return next;
}

void jail_close_descriptors(const int *kept, unsigned n_kept)
{
	unsigned from = STDERR_FILENO + 1, next;

	while ((next = next_kept(kept, n_kept, from)) < UINT_MAX) {
		if (next > from)
			close_range(from, next - 1, 0);
		from = next + 1;
	}
	close_range(from, UINT_MAX, 0);
}

/* ---- 2. the cgroups that hearthd has made: memory, processors, processes, I/O ------------------------------------ */

int jail_enter_cgroups(const struct jail *jail, struct error *err)
{
	for (unsigned i = 0; i < jail->n_cgroups; i++) {
		const int fd = open(jail->cgroups[i], O_WRONLY | O_CLOEXEC);
		const bool is_in = fd >= 0 && write(fd, "0", 1) == 1;
		const int problem = errno;

		if (fd >= 0)
			close(fd);
		if (!is_in)
			return error_set(err, problem, "cgroup %s: %s", jail->cgroups[i], strerror(problem));
	}
	return 0;
}

/* ---- 3. namespaces ----------------------------------------------------------------------------------------------- */

/* The first process of a PID namespace sees and signals nobody; the namespace is made by who starts it (api/vmm_process.c). */
static int check_pid_namespace(const struct jail *jail, struct error *err)
{
	(void)jail;
	return getpid() == 1 ? 0 : error_set(err, ESRCH, "no PID namespace: start it with unshare --pid --fork");
}

static int enter_namespaces(const struct jail *jail, struct error *err)
{
	const uid_t user = geteuid();
	const gid_t group = getegid();
	const int network = jail->keeps_network ? 0 : CLONE_NEWNET;

	/* Who has no rights gets them in a user namespace: over what is made in there, and nothing else. */
	if (!capability_has(CAP_SYS_ADMIN) &&
	    (unshare(CLONE_NEWUSER) < 0 || (errno = -user_namespace_map(user, group)) != 0))
		return failed(err,
			      "no user namespace (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone)");
	if (unshare(CLONE_NEWNS | network | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP) < 0)
		return failed(err, "no namespaces");
	if (sethostname("hearth-jail", 11) < 0)
		return failed(err, "no host name of its own");
	return 0;
}

/* ---- 4. files: an empty root, and in it at most the folder with the VM's own sockets, to connect to -------------- */

static int show_sockets(const char *path, struct error *err)
{
	static const unsigned long flags = MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
	char copy[PATH_MAX];

	snprintf(copy, sizeof(copy), "%s", path);
	if (mkdir(NEW_ROOT SOCKETS, 0555) < 0 || mount(dirname(copy), NEW_ROOT SOCKETS, NULL, MS_BIND, NULL) < 0 ||
	    mount(NULL, NEW_ROOT SOCKETS, NULL, MS_REMOUNT | flags, NULL) < 0)
		return failed(err, "cannot show the vsock's folder");
	return 0;
}

static int change_root(const struct jail *jail, struct error *err)
{
	static const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return failed(err, "no mounts of its own");
	if (mount("jail", NEW_ROOT, "tmpfs", flags, "mode=555,size=4k,nr_inodes=4") < 0)
		return failed(err, "no file system of its own");
	if (jail->sockets && show_sockets(jail->sockets, err) < 0)
		return -err->code;
	if (mount(NULL, NEW_ROOT, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | flags, NULL) < 0)
		return failed(err, "its root cannot be made read-only");
	if (pivot_root_to(NEW_ROOT) < 0)
		return failed(err, "no root of its own (pivot_root)");
	did_pivot = true;
	return 0;
}

const char *jail_sockets_inside(const struct jail *jail)
{
	static char path[PATH_MAX];
	char copy[PATH_MAX];

	if (!did_pivot || !jail->sockets)
		return jail->sockets;
	snprintf(copy, sizeof(copy), "%s", jail->sockets);
	snprintf(path, sizeof(path), SOCKETS "/%s", basename(copy));
	return path;
}

/* ---- 5. limits --------------------------------------------------------------------------------------------------- */

static int set_limit(__rlimit_resource_t resource, rlim_t value)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) < 0)
		return -errno;
	if (value > limit.rlim_max)
		value = limit.rlim_max;
	limit.rlim_cur = limit.rlim_max = value;
	return setrlimit(resource, &limit) < 0 ? -errno : 0;
}

static int set_limits(const struct jail *jail, struct error *err)
{
	const bool is_own_user = jail->user >= 0; /* else others of the user's processes would count */

	errno = 0;
	if (set_limit(RLIMIT_NOFILE, jail->n_descriptors) < 0 || set_limit(RLIMIT_CORE, 0) < 0 ||
	    set_limit(RLIMIT_MEMLOCK, 0) < 0 || set_limit(RLIMIT_MSGQUEUE, 0) < 0 || set_limit(RLIMIT_RTPRIO, 0) < 0 ||
	    (is_own_user && set_limit(RLIMIT_NPROC, THREADS_MAX) < 0))
		return failed(err, "no limits");
	return 0;
}

int jail_limit(const struct jail *jail, uint64_t address_space, uint64_t file_size, struct error *err)
{
	if (jail->mode == JAIL_OFF)
		return 0;
	signal(SIGXFSZ, SIG_IGN); /* a file that is too large is an error, not the end */
	if (set_limit(RLIMIT_AS, address_space) < 0 || set_limit(RLIMIT_FSIZE, file_size) < 0)
		return failed(err, "jail: no limits of memory and files");
	return 0;
}

/* ---- 6. user ----------------------------------------------------------------------------------------------------- */

static int change_user(const struct jail *jail, struct error *err)
{
	const uid_t user = jail->user >= 0 ? (uid_t)jail->user : NOBODY;

	/* An ordinary user has one identity, and it is the only one in the user namespace. */
	if (!capability_has(CAP_SETUID) || (jail->user < 0 && setgroups(0, NULL) < 0))
		return 0;
	if (setgroups(0, NULL) < 0 || setresgid(user, user, user) < 0 || setresuid(user, user, user) < 0)
		return failed(err, "cannot become another user");
	if (setuid(0) == 0)
		return error_set(err, EPERM, "could become root again");
	return 0;
}

/* Nobody of this machine exists in there: not even user 0, if the process should come to be that. */
static int leave_users(const struct jail *jail, struct error *err)
{
	(void)jail;
	return unshare(CLONE_NEWUSER) < 0 ? failed(err, "no user namespace") : 0;
}

/* ---- 7. rights --------------------------------------------------------------------------------------------------- */

static int give_up_rights(const struct jail *jail, struct error *err)
{
	(void)jail;
	errno = EPERM;
	if (!capabilities_drop())
		return failed(err, "capabilities stay");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return failed(err, "rights could come back");
	return 0;
}

/* ---- 8. system calls --------------------------------------------------------------------------------------------- */

static int filter_calls(const struct jail *jail, struct error *err)
{
	return jail->filter(err);
}

/* ---- all of it, in this order ------------------------------------------------------------------------------------ */

static const struct step {
	int (*take)(const struct jail *jail, struct error *err);
	bool is_optional; /* of a partial jail: the machine may not allow it */
} steps[] = {
	{ jail_enter_cgroups, true }, { check_pid_namespace, true }, { enter_namespaces, true },
	{ change_root, true },        { set_limits, false },         { change_user, false },
	{ leave_users, true },        { give_up_rights, false },     { filter_calls, false },
};

static void note(char lacks[JAIL_LACKS_SIZE], const char *problem)
{
	const size_t used = strlen(lacks);

	snprintf(lacks + used, JAIL_LACKS_SIZE - used, "%s%s", used ? ", " : "", problem);
}

int jail_enter(const struct jail *jail, char lacks[JAIL_LACKS_SIZE], struct error *err)
{
	lacks[0] = '\0';
	if (jail->mode == JAIL_OFF)
		return 0;
	umask(077);
	clearenv();
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct error problem = { 0 };

		if (steps[i].take(jail, &problem) == 0)
			continue;
		if (!steps[i].is_optional || jail->mode == JAIL_FULL)
			return error_set(err, problem.code, "jail: %s", problem.text);
		note(lacks, problem.text);
	}
	return 0;
}
