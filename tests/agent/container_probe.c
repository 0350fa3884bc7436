/*
 * What a process of a container can do, as the test asks: prints a line for each argument.
 *
 *     ids      user and group IDs, real and effective
 *     caps     effective and bounding capabilities
 *     vsock    whether a socket of that family can be had
 *     ptrace   whether process 1 can be traced
 *     orphans  leaves 50 orphans that end at once, and tells how many zombies there are after a while
 *     term     ends with status 9 at SIGTERM
 *     fds      the descriptors that are open
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

static void print_caps(void)
{
	char line[256];
	FILE *status = fopen("/proc/self/status", "r");

	while (status && fgets(line, sizeof(line), status))
		if (strncmp(line, "CapEff", 6) == 0 || strncmp(line, "CapBnd", 6) == 0 ||
		    strncmp(line, "CapInh", 6) == 0)
			printf("%s", line);
	fclose(status);
}

static int count_zombies(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int count = 0;

	while (proc && (entry = readdir(proc))) {
		char path[300], state = 0;
		FILE *file;

		snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
		file = entry->d_name[0] >= '0' && entry->d_name[0] <= '9' ? fopen(path, "r") : NULL;
		if (file && fscanf(file, "%*d %*s %c", &state) == 1 && state == 'Z')
			count++;
		if (file)
			fclose(file);
	}
	closedir(proc);
	return count;
}

static void leave_orphans(void)
{
	for (int i = 0; i < 50; i++) {
		pid_t child = fork();

		if (child == 0) {
			if (fork() == 0) {
				usleep(20000);
				_exit(0);
			}
			_exit(0);
		}
		waitpid(child, NULL, 0);
	}
	for (int i = 0; i < 100 && (i < 20 || count_zombies() > 0); i++)
		usleep(20000);
	printf("zombies %d\n", count_zombies());
}

static void on_term(int number)
{
	(void)number;
	if (write(1, "term\n", 5) == 5)
		_exit(9);
}

static void print_fds(void)
{
	for (int fd = 0; fd < 1024; fd++)
		if (dup2(fd, fd) == fd)
			printf("fd %d\n", fd);
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "ids") == 0)
			printf("ids %d %d %d %d\n", getuid(), geteuid(), getgid(), getegid());
		if (strcmp(argv[i], "caps") == 0)
			print_caps();
		if (strcmp(argv[i], "vsock") == 0)
			printf("vsock %s\n", socket(40, SOCK_STREAM, 0) < 0 && errno == EAFNOSUPPORT ? "no" : "yes");
		if (strcmp(argv[i], "ptrace") == 0)
			printf("ptrace %s\n", ptrace(PTRACE_ATTACH, 1, 0, 0) < 0 ? "no" : "yes");
		if (strcmp(argv[i], "orphans") == 0)
			leave_orphans();
		if (strcmp(argv[i], "fds") == 0)
			print_fds();
		if (strcmp(argv[i], "term") == 0) {
			signal(SIGTERM, on_term);
			printf("waiting %d\n", getpid());
			for (;;)
				pause();
		}
	}
	return 0;
}
