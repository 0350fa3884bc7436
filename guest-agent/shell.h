/*
 * Commands of a shell: each a process group of its own, in a cgroup that no other command is in, without an interpreter
 * that would be kept. Runs one at a time and tells how it ended. What a command leaves running in the background lives on:
 * its output goes nowhere from then on.
 */
#ifndef HEARTH_AGENT_SHELL_H
#define HEARTH_AGENT_SHELL_H

#include "output_pipe.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct shell_listener {
	void (*output)(enum output_stream stream, const uint8_t *data, size_t size);
	/*
	 * The command is over: with its exit status, or 128 and the number of the signal that killed it. All of its output
	 * was told. `memory_ran_out`: the kernel killed it, or a process that it started, for want of memory.
	 */
	void (*ended)(uint8_t status, bool memory_ran_out);
};

struct shell_settings {
	const char *shell;       /* its program, a bash */
	const char *const *envp; /* as it is when a command starts */
	const char *directory;   /* where each command starts */
	uid_t uid;               /* 0: the agent's own user */
	gid_t gid;
	const struct shell_listener *listener;
};

/* `settings` must stay. */
void shell_init(const struct shell_settings *settings);

/* Why the code of an AGENT_EXECUTE in AGENT_SHELL makes no sense, or NULL. */
const char *shell_check(const uint8_t *code, size_t size);

/* Starts what shell_check() found sound, if no command runs. 0 or -errno. */
int shell_run(const uint8_t *code, size_t size);

/* Stops or goes on reading what the command writes. */
void shell_pause(bool is_paused);

/* SIGINT to the command's process group. */
void shell_interrupt(void);

/* SIGKILL to the command and everything that it started. ended() follows. */
void shell_kill(void);

/* The same for all commands that there were, without a word to anybody: for the end of the agent. */
void shell_stop(void);

/* Ends what commands left behind if it filled its process table, as a fork bomb does. True if something did. */
bool shell_end_flood(void);

/* A child was reaped. True if it was the command. */
bool shell_reaped(pid_t pid, int wait_status);

#endif
