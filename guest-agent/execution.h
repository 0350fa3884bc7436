/*
 * The one execution that runs in a guest: from AGENT_EXECUTE to AGENT_DONE. Joins a host, who asked, with an
 * interpreter or the shell, which runs the code; enforces the time limit, the output limits and the limit on display data; holds
 * the interpreter back while the host does not read.
 */
#ifndef HEARTH_AGENT_EXECUTION_H
#define HEARTH_AGENT_EXECUTION_H

#include "frame.h"
#include "interpreter.h"
#include "shell.h"

#include <stdbool.h>

/* Who asked: embedded in a connection. */
struct execution_host {
	/* Takes the frame over; NULL is ignored. */
	void (*send)(struct execution_host *host, struct frame *frame);
	/* Bytes that the host has not taken yet. */
	size_t (*waiting)(struct execution_host *host);
};

/* Started with no delay when an execution has ended, so that a host which waits for that can go on. */
void execution_set_idle_timer(struct loop_timer *timer);

/* For all interpreters, and for the shell. */
extern const struct interpreter_listener execution_listener;
extern const struct shell_listener execution_shell_listener;

/*
 * Runs the frame's code (taken over) in `interpreter`, which is started if it is down; NULL: in the shell, which has to be
 * its language. Answers AGENT_REFUSED if the
 * request makes no sense or another execution runs.
 */
void execution_start(struct execution_host *host, struct interpreter *interpreter, struct frame *frame);

/* Answers AGENT_DONE with AGENT_REFUSED. */
void execution_refuse(struct execution_host *host, uint64_t request, const char *why);

/* Interrupts the execution if it is this host's and has this number. */
void execution_interrupt(struct execution_host *host, uint64_t request);

/* The host is gone: its execution is interrupted and its output dropped. */
void execution_abandon(struct execution_host *host);

/* True while an execution runs whose host is gone: a new one may wait for its end. */
bool execution_is_abandoned(void);

/* True from execution_start() until AGENT_DONE was sent. */
bool execution_is_running(void);

/* The host has taken some of what waited. */
void execution_resume(struct execution_host *host);

#endif
