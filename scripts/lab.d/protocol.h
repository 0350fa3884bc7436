/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What scripts/lab and the lab's init say to each other, one TCP connection for each command.
 * A frame is one byte of type, a 32-bit little-endian payload length (at most FRAME_MAX), the payload.
 * client.py holds the same letters.
 */
#ifndef LAB_PROTOCOL_H
#define LAB_PROTOCOL_H

#define LAB_PORT     22
#define FRAME_HEADER 5
#define FRAME_MAX    262144
/* The client sends no more than this much of stdin before the command has read it, so that signals never wait. */
#define STDIN_WINDOW 262144

enum to_lab {
	TO_LAB_TOKEN = 't',     /* first frame: the lab's token */
	TO_LAB_DIRECTORY = 'd', /* working directory */
	TO_LAB_ENVIRON = 'e',   /* NAME=value, repeated */
	TO_LAB_ARGUMENT = 'a',  /* one word of the command, repeated */
	TO_LAB_PTY = 'p',       /* give it a terminal: u16 rows, u16 columns */
	TO_LAB_RUN = 'r',       /* all said: run */
	TO_LAB_STDIN = 'i',     /* bytes for the command; empty: end of input */
	TO_LAB_SIGNAL = 's',    /* u8 signal, u8 1: to the process group, 0: to the process alone */
	TO_LAB_WINDOW = 'w',    /* u16 rows, u16 columns */
	TO_LAB_CLOSE = 'c',     /* u8 1 or 2: nobody reads this output any more */
	TO_LAB_TERMINATE = 'k', /* end the command and all it started: SIGTERM, later SIGKILL */
};

enum from_lab {
	FROM_LAB_BEGUN = 'g',  /* the command runs */
	FROM_LAB_STDOUT = 'o', /* bytes */
	FROM_LAB_STDERR = 'x', /* bytes */
	FROM_LAB_CREDIT = 'k', /* u32 bytes of stdin that were taken */
	FROM_LAB_EXIT = 'q',   /* u8 exit status as a shell gives it: 128 + N for signal N */
	FROM_LAB_FAILED = 'f', /* u8 exit status, then a text: the command could not be started */
};

#endif
