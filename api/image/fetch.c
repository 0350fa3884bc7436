#include "api/image/source.h"
#include "common/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	SAID_SIZE = 4096,
	ARGUMENTS_MAX = 16,
	COMMAND_NOT_FOUND = 127,
	LOOK_MS = 100, /* between two looks at how much there is */
};

/* What a machine's owner has decided about signatures holds; else skopeo would refuse everything. */
static bool has_policy(void)
{
	const char *home = getenv("HOME");
	char path[PATH_MAX];

	if (access("/etc/containers/policy.json", F_OK) == 0)
		return true;
	return home && snprintf(path, sizeof(path), "%s/.config/containers/policy.json", home) < (int)sizeof(path) &&
	       access(path, F_OK) == 0;
}

static int limit_files(uint64_t size_max)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_FSIZE, &limit) < 0)
		return -errno;
	if (limit.rlim_cur > size_max)
		limit.rlim_cur = limit.rlim_max = size_max;
	return setrlimit(RLIMIT_FSIZE, &limit) < 0 ? -errno : 0;
}

/* In the child. Its output is for people, as it shows how far it is; its errors go to `errors`. */
static _Noreturn void execute(const struct image_fetch *fetch, char *const *arguments, pid_t parent, int errors)
{
	int output = isatty(STDERR_FILENO) ? dup(STDERR_FILENO) : open("/dev/null", O_WRONLY | O_CLOEXEC);
	int input = open("/dev/null", O_RDONLY | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent && input >= 0 && output >= 0 && dup2(input, STDIN_FILENO) >= 0 &&
	    dup2(output, STDOUT_FILENO) >= 0 && dup2(errors, STDERR_FILENO) >= 0 && limit_files(fetch->size_max) == 0 &&
	    setenv("TMPDIR", fetch->work, 1) == 0)
		execvp(arguments[0], arguments);
	_exit(errno == ENOENT ? COMMAND_NOT_FOUND : 1);
}

/* Bytes of all files in a folder. */
static uint64_t size_of(const char *folder)
{
	DIR *directory = opendir(folder);
	struct dirent *entry;
	struct stat status;
	uint64_t total = 0;

	while (directory && (entry = readdir(directory)))
		if (fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(status.st_mode))
			total += (uint64_t)status.st_size;
	if (directory)
		closedir(directory);
	return total;
}

/*
 * Waits until it says something. False if there is too much: it uncompresses the layers of a docker-archive, of which
 * the limit of one file says nothing.
 */
static bool wait_for_word(int fd, const struct image_fetch *fetch)
{
	struct pollfd poller = { .fd = fd, .events = POLLIN };

	while (poll(&poller, 1, LOOK_MS) == 0)
		if (size_of(fetch->folder) > fetch->size_max)
			return false;
	return true;
}

/* Keeps the end of what it says. False if it got too much. */
static bool listen_to(int fd, const struct image_fetch *fetch, char said[SAID_SIZE])
{
	bool fits;
	size_t size = 0;
	ssize_t n;

	while ((fits = wait_for_word(fd, fetch)) &&
	       ((n = read(fd, said + size, SAID_SIZE - 1 - size)) > 0 || (n < 0 && errno == EINTR))) {
		size += n > 0 ? (size_t)n : 0;
		if (size == SAID_SIZE - 1) {
			memmove(said, said + SAID_SIZE / 2, size - SAID_SIZE / 2);
			size -= SAID_SIZE / 2;
		}
	}
	said[size] = '\0';
	return fits;
}

/* The message of its last line: time="…" level=fatal msg="…". */
static const char *find_reason(char *said)
{
	size_t size = strlen(said);
	char *line, *message;

	while (size > 0 && said[size - 1] == '\n')
		said[--size] = '\0';
	line = strrchr(said, '\n');
	line = line ? line + 1 : said;
	message = strstr(line, "msg=\"");
	if (!message)
		return *line ? line : "it does not say why";
	message += strlen("msg=\"");
	if (said[size - 1] == '"')
		said[size - 1] = '\0';
	return message;
}

static int wait_for(pid_t pid, char *said, struct error *err)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return error_set(err, errno, "cannot wait for skopeo: %s", strerror(errno));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == COMMAND_NOT_FOUND)
		return error_set(err, EIO,
				 "there is no skopeo on this machine: install it (Debian: apt install skopeo)");
	if (WIFSIGNALED(status))
		return error_set(err, EIO, "skopeo was ended by signal %d", WTERMSIG(status));
	return error_set(err, EIO, "skopeo cannot get the image: %s", find_reason(said));
}

int image_source_fetch(const struct image_source *source, const struct image_fetch *fetch, struct error *err)
{
	char into[PATH_MAX + 8], reference[sizeof(source->reference)], said[SAID_SIZE], tmpdir[PATH_MAX];
	char *arguments[ARGUMENTS_MAX] = { "skopeo", "--override-os=linux", "--override-arch=amd64" };
	size_t n = 3;
	bool fits = true;
	int pipes[2], ret;
	pid_t pid, parent = getpid();

	snprintf(tmpdir, sizeof(tmpdir), "%s", fetch->work);
	snprintf(into, sizeof(into), "dir:%s", fetch->folder);
	snprintf(reference, sizeof(reference), "%s", source->reference);
	if (!has_policy())
		arguments[n++] = "--insecure-policy";
	/* For its large files it does not heed TMPDIR. */
	arguments[n++] = "--tmpdir";
	arguments[n++] = tmpdir;
	arguments[n++] = "copy";
	if (fetch->allow_insecure)
		arguments[n++] = "--src-tls-verify=false";
	arguments[n++] = reference;
	arguments[n++] = into;
	if (pipe2(pipes, O_CLOEXEC) < 0)
		return error_set(err, errno, "cannot start skopeo: %s", strerror(errno));
	pid = fork();
	if (pid == 0)
		execute(fetch, arguments, parent, pipes[1]);
	close(pipes[1]);
	if (pid > 0)
		fits = listen_to(pipes[0], fetch, said);
	if (pid > 0 && !fits)
		kill(pid, SIGKILL);
	close(pipes[0]);
	if (pid < 0)
		return error_set(err, errno, "cannot start skopeo: %s", strerror(errno));
	ret = wait_for(pid, said, err);
	if (!fits || size_of(fetch->folder) > fetch->size_max)
		return error_set(err, EINVAL, "its layers are larger than %llu MiB: --max-size allows more",
				 (unsigned long long)(fetch->size_max >> 20));
	if (ret == 0)
		return 0;
	return source->is_no_file ? error_wrap(err, "there is no file of that name, and") : -err->code;
}
