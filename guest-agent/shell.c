#include "shell.h"

#include "cgroup.h"
#include "process.h"
#include "shell_order.h"
#include "common/cleanup.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	GROUPS_MAX = 16, /* cgroups; of more commands that left something running, the last ones share one */
	LEFT_MAX = 64,   /* commands whose background processes can still write without an error */
	ARGUMENT_MAX = (128 << 10) - 1, /* bytes of one argument that the kernel takes (MAX_ARG_STRLEN), without NUL */
};

/* Runs what stands in descriptor 3, as if it were an argument: same $0, same lines in messages, no name left behind. */
#define RUN_DESCRIPTOR_3 "mapfile -d '' -u 3 hearth; exec 3<&-; eval \"unset hearth;$hearth\""

/* What one command writes to. */
struct command {
	struct command *next; /* an older one */
	struct output_pipes pipes;
};

struct group {
	struct cgroup cgroup;
	uint64_t refused_forks; /* counter of it that is known */
};

static const struct shell_settings *settings;
static struct group groups[GROUPS_MAX];
static unsigned int n_groups;
static struct command *left; /* commands that are over, the newest first */

static struct {
	struct command *command; /* NULL: none runs */
	struct group *group;
	pid_t pid;
	bool was_killed;    /* by the agent */
	uint64_t oom_kills; /* counter of its cgroup when it started */
} now;

static void on_kill_late(struct loop_timer *timer);
static struct loop_timer kill_limit = { .on_expiry = on_kill_late };

const char *shell_check(const uint8_t *code, size_t size)
{
	struct shell_order order;

	return shell_order_decode(&order, code, size);
}

/* ---- output ------------------------------------------------------------------------------------------------------ */

static struct command *command_of(struct output_pipes *pipes)
{
	return (struct command *)(void *)((char *)pipes - offsetof(struct command, pipes));
}

static void on_output(struct output_pipes *pipes, enum output_stream stream, const uint8_t *data, size_t size)
{
	if (command_of(pipes) == now.command)
		settings->listener->output(stream, data, size);
}

static void destroy(struct command *command)
{
	if (!command)
		return;
	output_pipes_close(&command->pipes);
	free(command);
}

static void on_end(struct output_pipes *pipes)
{
	struct command *command = command_of(pipes), **link = &left;

	while (*link && *link != command)
		link = &(*link)->next;
	if (!*link)
		return; /* it still runs */
	*link = command->next;
	destroy(command);
}

static struct command *create(int write_fds[OUTPUT_N_STREAMS])
{
	struct command *command = calloc(1, sizeof(*command));
	int result;

	if (!command)
		return NULL;
	output_pipes_init(&command->pipes, on_output, on_end);
	result = output_pipes_open(&command->pipes, write_fds);
	if (result == 0)
		return command;
	destroy(command);
	errno = -result;
	return NULL;
}

void shell_pause(bool is_paused)
{
	if (now.command)
		output_pipes_pause(&now.command->pipes, is_paused);
}

/* A process that goes on would end if it wrote where nobody reads, so somebody does. */
static void leave(struct command *command)
{
	struct command **link = &left;

	if (output_pipes_are_closed(&command->pipes)) {
		destroy(command);
		return;
	}
	command->next = left;
	left = command;
	for (int i = 0; i < LEFT_MAX && *link; i++)
		link = &(*link)->next;
	destroy(STEAL(link));
}

/* ---- its start --------------------------------------------------------------------------------------------------- */

static struct group *open_group(void)
{
	struct group *group = &groups[n_groups];
	char name[32];

	snprintf(name, sizeof(name), n_groups ? "shell-%u" : "shell", n_groups);
	group->cgroup = cgroup_open(name);
	group->refused_forks = cgroup_refused_forks(&group->cgroup);
	n_groups++;
	return group;
}

/* One without processes, if there can be one. */
static struct group *choose_group(void)
{
	for (unsigned int i = 0; i < n_groups; i++)
		if (!cgroup_has_processes(&groups[i].cgroup))
			return &groups[i];
	return n_groups < GROUPS_MAX ? open_group() : &groups[GROUPS_MAX - 1];
}

/* A file without a name that holds `size` bytes and is to be read from its start. -errno. */
static int make_file(const void *data, size_t size)
{
	AUTO_FD int fd = memfd_create("command", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	for (size_t done = 0; done < size;) {
		ssize_t count = pwrite(fd, (const char *)data + done, size - done, (off_t)done);

		if (count < 0)
			return -errno;
		done += (size_t)count;
	}
	return steal_fd(&fd);
}

static int spawn(const struct shell_order *order, const char *const *argv, int script_fd,
		 const int write_fds[OUTPUT_N_STREAMS])
{
	AUTO_FD int input_fd = order->input_size ? make_file(order->input, order->input_size) : -1;
	const struct process_spec spec = {
		.argv = argv,
		.envp = settings->envp,
		.directory = settings->directory,
		.input_fd = input_fd,
		.output_fds = { write_fds[OUTPUT_STDOUT], write_fds[OUTPUT_STDERR] },
		.control_fd = script_fd,
		.cgroup_fd = now.group->cgroup.directory_fd,
		.uid = settings->uid,
		.gid = settings->gid,
	};

	if (order->input_size && input_fd < 0)
		return input_fd;
	return process_spawn(&spec, &now.pid);
}

static int spawn_shell(const struct shell_order *order, const int write_fds[OUTPUT_N_STREAMS])
{
	const bool is_argument = order->texts_size - 1 <= ARGUMENT_MAX;
	const char *argv[] = { settings->shell, "-lc", is_argument ? order->texts : RUN_DESCRIPTOR_3, NULL };
	AUTO_FD int script_fd = is_argument ? -1 : make_file(order->texts, order->texts_size - 1);

	if (!is_argument && script_fd < 0)
		return script_fd;
	return spawn(order, argv, script_fd, write_fds);
}

static int spawn_program(const struct shell_order *order, const int write_fds[OUTPUT_N_STREAMS])
{
	const char *argv[AGENT_SHELL_ARGUMENTS_MAX + 1] = { NULL }, *text = order->texts;

	for (size_t i = 0; i < order->n_texts; i++, text += strlen(text) + 1)
		argv[i] = text;
	return spawn(order, argv, -1, write_fds);
}

int shell_run(const uint8_t *code, size_t size)
{
	int write_fds[OUTPUT_N_STREAMS] = { -1, -1 };
	struct shell_order order;
	int result;

	if (now.command || shell_order_decode(&order, code, size))
		return -EINVAL;
	now.command = create(write_fds);
	result = now.command ? 0 : -errno;
	if (result == 0) {
		now.group = choose_group();
		now.was_killed = false;
		now.oom_kills = cgroup_oom_kills(&now.group->cgroup);
		result = order.form == AGENT_SHELL_COMMAND ? spawn_shell(&order, write_fds)
							   : spawn_program(&order, write_fds);
	}
	for (int i = 0; i < OUTPUT_N_STREAMS; i++)
		cleanup_fd(&write_fds[i]);
	if (result == 0) {
		shell_pause(false);
		return 0;
	}
	destroy(now.command);
	now.command = NULL;
	return result;
}

void shell_init(const struct shell_settings *given)
{
	settings = given;
	open_group();
}

/* ---- its end ----------------------------------------------------------------------------------------------------- */

void shell_interrupt(void)
{
	if (now.command)
		process_signal(now.pid, SIGINT);
}

void shell_kill(void)
{
	if (!now.command)
		return;
	now.was_killed = true;
	process_signal(now.pid, SIGKILL);
	cgroup_kill(&now.group->cgroup);
	loop_timer_start(&kill_limit, PROCESS_KILL_LIMIT_US);
}

static void on_kill_late(struct loop_timer *timer)
{
	process_end_tracers(now.pid);
	loop_timer_start(timer, PROCESS_KILL_LIMIT_US);
}

void shell_stop(void)
{
	shell_kill();
	if (now.command)
		waitpid(now.pid, NULL, 0);
	for (unsigned int i = 0; i < n_groups; i++)
		cgroup_kill(&groups[i].cgroup);
}

bool shell_end_flood(void)
{
	bool has_ended = false;

	for (unsigned int i = 0; i < n_groups; i++) {
		struct group *group = &groups[i];

		if (cgroup_refused_forks(&group->cgroup) == group->refused_forks)
			continue;
		cgroup_kill_others(&group->cgroup, now.command && now.group == group ? now.pid : 0);
		group->refused_forks = cgroup_refused_forks(&group->cgroup);
		has_ended = true;
	}
	return has_ended;
}

bool shell_reaped(pid_t pid, int wait_status)
{
	struct command *command = now.command;
	bool memory_ran_out;

	if (!command || pid != now.pid)
		return false;
	memory_ran_out = !now.was_killed && cgroup_oom_kills(&now.group->cgroup) > now.oom_kills;
	output_pipes_drain(&command->pipes);
	loop_timer_stop(&kill_limit);
	shell_pause(false); /* from here on it is read to be dropped */
	now.command = NULL;
	leave(command);
	settings->listener->ended(process_exit_status(wait_status), memory_ran_out);
	return true;
}
