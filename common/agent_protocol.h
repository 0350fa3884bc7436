/*
 * The frames between hearthd and hearth-agent, and between hearth-agent and its language drivers.
 *
 * Every frame is a header of 16 bytes and a body of `length` bytes, all integers little-endian:
 *
 *     u32 length   of the body, at most AGENT_FRAME_MAX
 *     u16 type     enum agent_frame_type
 *     u16 flags    zero
 *     u64 request  chosen by the host for an execution; every frame about it repeats it
 *
 * Connections: when the agent listens on vsock port AGENT_PORT it opens one connection to the host's port
 * AGENT_READY_PORT, sends AGENT_READY there and closes it. From then on the host connects to AGENT_PORT, as often as it
 * likes. A connection stays open for many executions; one execution runs at a time in a guest, and closing the
 * connection that started it interrupts it.
 *
 * Files: the host opens a connection for each operation on files of the guest's data folder, so that a large file stands
 * in nobody's way. Paths are bytes relative to that folder, without a slash at either end; "" is the folder itself. What
 * a path resolves to never lies outside of the folder, whatever links there are. A connection that closes before
 * AGENT_FILE_DONE undoes its write.
 *
 * Tokens: what connects to 127.0.0.1:AGENT_TOKEN_PORT in a guest that was offered tokens is connected to the host's port
 * AGENT_TOKEN_PORT, byte for byte; what is said there is HTTP, of which the agent knows nothing.
 *
 * Containers: a guest whose kernel was given HEARTH_CONTAINER=1 keeps no interpreters; it runs one container, whose
 * description common/agent_container.h encodes. Each order about it (AGENT_CONTAINER_START to _ENVIRONMENT) is
 * answered, with its request number, by AGENT_CONTAINER_STATE if it was obeyed and by AGENT_CONTAINER_REFUSED if not.
 * The connection of a START or ATTACH that was obeyed then hears of the container, with that request number: its log
 * from the oldest byte that is kept, each change of its state, and at the end AGENT_CONTAINER_EXITED. The container
 * does not end with a connection, and never waits for one: what the host does not read in time is dropped, oldest
 * first, and counted.
 *
 * Ingress: once there is a container the agent listens on vsock port AGENT_INGRESS_PORT. A connection of the host there
 * is one to 127.0.0.1:target_port in the guest. Its first byte is the agent's: 0 when that is connected, otherwise an
 * errno value (ECONNREFUSED: nobody listens; ETIMEDOUT: nobody accepts; EHOSTDOWN: the container does not run; EAGAIN:
 * AGENT_INGRESS_MAX connections are open), after which it is closed. Then bytes go both ways as they are, and each
 * direction ends for itself.
 *
 * Neither side trusts the other: a frame that is too long, of an unknown type or with a body that does not decode ends
 * the connection.
 */
#ifndef HEARTH_COMMON_AGENT_PROTOCOL_H
#define HEARTH_COMMON_AGENT_PROTOCOL_H

#include <stdint.h>

enum {
	AGENT_PROTOCOL_VERSION = 7,
	AGENT_PORT = 1024,         /* vsock port in the guest */
	AGENT_READY_PORT = 1025,   /* vsock port on the host (CID 2) */
	AGENT_TOKEN_PORT = 1026,   /* vsock port on the host, and TCP port on the guest's loopback */
	AGENT_INGRESS_PORT = 1027, /* vsock port in the guest */
	AGENT_HEADER_SIZE = 16,
	AGENT_CODE_MAX = 8 << 20,          /* bytes of code in one execution */
	AGENT_FRAME_MAX = (16 << 20) - 16, /* bytes of a body */
	AGENT_STREAM_CHUNK_MAX = 64 << 10, /* bytes of output in one STDOUT or STDERR frame */
	AGENT_NOTES_MAX = 1 << 10,         /* bytes of stderr beyond its limit: words of the agent's own */
	AGENT_DISPLAY_MAX = 32 << 20,      /* bytes of the bodies of one execution's DISPLAY and RESULT frames */
	AGENT_MIME_ENTRIES_MAX = 32,       /* entries of one MIME bundle */
	AGENT_MIME_TYPE_MAX = 255,         /* bytes of one MIME type */
	AGENT_ENTROPY_SIZE = 64,           /* bytes of fresh randomness that a guest gets when it is adopted */
	AGENT_FILE_CHUNK_MAX = 64 << 10,   /* bytes of a file in one FILE_DATA frame */
	AGENT_FILE_PATH_MAX = 4095,        /* bytes of a path */
	AGENT_FILE_ENTRIES_MAX = 10000,    /* entries that one FILE_LIST tells */
	AGENT_SECRET_SIZE = 64,            /* characters of the secret that a guest asks for tokens with */
	AGENT_HOST_NAME_MAX = 63,          /* bytes of a guest's host name: letters, digits, hyphens */
	AGENT_INGRESS_MAX = 256,           /* connections to the container at once */
	AGENT_SHELL_PREFIX = 8,            /* bytes before stdin in the code of AGENT_SHELL */
	AGENT_SHELL_ARGUMENTS_MAX = 1024,  /* of AGENT_SHELL_ARGUMENTS, the program's name included */
};

/* Of AGENT_FILE_READ. */
#define AGENT_FILE_FROM_END UINT64_MAX /* as offset: the bytes wanted are the last ones */
#define AGENT_FILE_TO_END   UINT64_MAX /* as length: all from the offset on */

enum agent_frame_type {
	/* host to agent */
	AGENT_EXECUTE =
		1, /* u8 agent_language, u8 flags (enum agent_execute_flag), u16 0, u32 timeout_ms (0: none), u64 output_limit (bytes of
	                      * each of stdout and stderr that are sent), then the code to the end of the body: UTF-8, or
	                      * for AGENT_SHELL what enum agent_shell_form says */
	AGENT_INTERRUPT = 2, /* empty; `request` names the execution. No answer of its own: AGENT_DONE follows */
	AGENT_SETTLE =
		3,       /* empty; `request` is chosen by the host. Prepares the guest for being the template of others:
	                      * both interpreters warm, their paths rehearsed, garbage collected, nothing due. Answered by
	                      * AGENT_SETTLED; the host then closes the connection and takes the snapshot */
	AGENT_ADOPT = 4, /* u64 host's CLOCK_REALTIME in nanoseconds when this was sent, u8 agent_identity, 7 zero
	                      * bytes, AGENT_ENTROPY_SIZE bytes of fresh randomness, then the host name to the end of the
	                      * body. After a restore, before any code runs: sets the clock, reseeds the kernel and (before
	                      * their next code) the interpreters, takes the identity. Answered by AGENT_ADOPTED */

	AGENT_FILE_LIST = 5, /* u8 1 for the folders within too, 7 zero bytes, then the path of a folder. Answered by
	                        * FILE_INFO for each entry, in no order, then FILE_DONE */
	AGENT_FILE_STAT = 6, /* the path. Answered by FILE_INFO, then FILE_DONE */
	AGENT_FILE_READ =
		7, /* u64 offset of the first byte or AGENT_FILE_FROM_END, u64 bytes wanted, then the path of a
	                        * regular file. Answered by FILE_INFO with the whole file's size, exactly as many bytes of
	                        * FILE_DATA as file_piece() says for that size, then FILE_DONE */
	AGENT_FILE_WRITE =
		8, /* u64 bytes that it may have, then the path, whose folders are made if need be. Followed by
	                        * FILE_DATA and FILE_COMMIT. Answered by FILE_INFO and FILE_DONE once it has its name; by
	                        * FILE_DONE alone, at any time, if it cannot be */
	AGENT_FILE_DELETE = 9,  /* the path of what is no folder. Answered by FILE_DONE */
	AGENT_FILE_DATA = 10,   /* in both directions: the next bytes of a file, at most AGENT_FILE_CHUNK_MAX */
	AGENT_FILE_COMMIT = 11, /* empty: that was all of the file */
	AGENT_OFFER_TOKENS =
		12, /* AGENT_SECRET_SIZE letters and digits. Before any code runs, and not answered: from now on
	                          * code finds in its environment where to ask for tokens, and the secret to do it with.
	                          * AGENT_ADOPT ends the offer */

	AGENT_LIMIT =
		14, /* u32 processes and threads of each interpreter, u32 0, u64 bytes that the guest may write to its
	                   * disk; 0 for what is to stay as it is. `request` is 0; not answered, and obeyed before any
	                   * later frame of the connection. Sent only if there is something to limit, so that guests
	                   * of before version 6 can be restored */

	AGENT_CONTAINER_START =
		32, /* what agent_container_encode() makes: mounts the image's disks and runs its entrypoint.
	                             * Once in a guest's life */
	AGENT_CONTAINER_RUN = 33,    /* empty: runs the entrypoint of a container that was started with
	                             * AGENT_CONTAINER_HOLD */
	AGENT_CONTAINER_STOP = 34,   /* u32 milliseconds from the stop signal to SIGKILL for all of it, u32 0 */
	AGENT_CONTAINER_ATTACH = 35, /* empty: the host asks for the state, the log that is kept, and what follows */
	AGENT_CONTAINER_ENVIRONMENT = 36, /* NAME=VALUE, each followed by NUL, no line break in it; an empty VALUE takes
	                                   * back what was handed over as NAME. They are lines of
	                                   * /run/hearth/environment in the container from then on, and in the
	                                   * environment of an entrypoint that is held */

	/* agent to driver */
	AGENT_ENVIRONMENT = 13, /* NAME=VALUE for the environment of code to come, each followed by NUL; without a VALUE
	                         * there is no NAME any more */

	/* agent to host */
	AGENT_READY = 16,   /* u32 AGENT_PROTOCOL_VERSION, u64 time at which the agent's main began and u64 time at
	                     * which it listens, both in microseconds since the guest kernel booted */
	AGENT_STARTED = 17, /* u64 microseconds for which the execution waited for its interpreter to be warm */
	AGENT_STDOUT = 18,  /* bytes as the code wrote them, at least one: not necessarily UTF-8, and cut anywhere. Like
	                     * the next three not before AGENT_STARTED */
	AGENT_STDERR = 19,  /* likewise */
	AGENT_DISPLAY = 20, /* a MIME bundle that the code displayed */
	AGENT_RESULT = 21,  /* a MIME bundle: the value of the last expression; at most one, none if it has no value */
	AGENT_DONE = 22,    /* u8 agent_outcome, u8 1 if the interpreter's state was lost, u16 exit status of a command
	                     * of AGENT_SHELL that came to its end, otherwise 0, u64 microseconds that
	                     * the code ran, u64 bytes of stdout and u64 bytes of stderr that were cut off at the
	                     * limit, then a sentence (UTF-8, may be empty) that explains the outcome; AGENT_OK and
	                     * AGENT_ERROR not before AGENT_STARTED. Nothing follows for this request */
	AGENT_SETTLED = 23, /* empty if the guest is settled; otherwise a sentence (UTF-8) that says why it is not */
	AGENT_ADOPTED = 24, /* empty if all was done; otherwise a sentence (UTF-8) that says what was not, and then the
	                     * guest may not be used */
	AGENT_FILE_INFO = 25, /* u8 agent_file_kind, 7 zero bytes, u64 size in bytes, u64 time of the last change in
	                       * nanoseconds since 1970, then the path */
	AGENT_FILE_DONE = 26, /* u32 agent_file_status, u32 0, then a sentence (UTF-8, may be empty) that explains it.
	                       * Nothing follows for this request */

	AGENT_CONTAINER_STATE = 48, /* u8 agent_container_state, 7 zero bytes, then a sentence (UTF-8, may be empty) */
	AGENT_CONTAINER_REFUSED = 49, /* a sentence (UTF-8) that says why an order was not obeyed */
	AGENT_CONTAINER_DROPPED =
		50, /* u64 bytes of the log that came before what follows and that the host did not get */
	AGENT_CONTAINER_EXITED = 51, /* u32 exit status of the entrypoint, u32 number of the signal that ended it or 0,
	                               * u64 microseconds that it ran, then a sentence (UTF-8) that explains it. One
	                               * that could not be run has status 125 (the container could not be made), 126
	                               * (it cannot be executed) or 127 (there is none). Nothing follows */
};

enum agent_container_state {
	AGENT_CONTAINER_NONE = 0,      /* none was started */
	AGENT_CONTAINER_PREPARING = 1, /* its file system is being made */
	AGENT_CONTAINER_HELD = 2,      /* all is made; the entrypoint waits for AGENT_CONTAINER_RUN */
	AGENT_CONTAINER_STARTING = 3,  /* the entrypoint runs, and is not ready yet */
	AGENT_CONTAINER_READY = 4,
	AGENT_CONTAINER_UNREADY = 5, /* it was ready; the sentence is its readiness probe's */
	AGENT_CONTAINER_ENDING = 6,  /* it is being stopped: by the host or for what the sentence says */
	AGENT_CONTAINER_ENDED = 7,
};

enum agent_file_kind {
	AGENT_FILE_REGULAR = 1,
	AGENT_FILE_FOLDER = 2,
};

enum agent_file_status {
	AGENT_FILE_OK = 0,
	AGENT_FILE_NOT_FOUND = 1,
	AGENT_FILE_INVALID = 2,    /* the path is none, leads out of the folder, or names neither file nor folder */
	AGENT_FILE_IS_FOLDER = 3,  /* but a file was meant */
	AGENT_FILE_NOT_FOLDER = 4, /* but a folder was meant, or something on the way is none */
	AGENT_FILE_TOO_LARGE = 5,  /* more bytes than FILE_WRITE said */
	AGENT_FILE_NO_SPACE = 6,   /* the guest's disk is full */
	AGENT_FILE_FAILED = 7,     /* the sentence says why */
	AGENT_FILE_CUT = 8,        /* all is well, but there are more than AGENT_FILE_ENTRIES_MAX, or time is over */
};

enum agent_language {
	AGENT_PYTHON = 1,
	AGENT_NODE = 2,
	AGENT_SHELL = 3, /* a command: no interpreter is kept. Takes no notice of flags */
};

/*
 * The code of AGENT_SHELL is u8 agent_shell_form, 3 zero bytes, u32 bytes of stdin, those bytes (any), and then texts
 * without NUL, each followed by one. AGENT_OK is exit status 0, AGENT_ERROR any other; a command that was killed by a
 * signal has 128 and its number.
 */
enum agent_shell_form {
	AGENT_SHELL_COMMAND = 1,   /* one text, for bash -lc */
	AGENT_SHELL_ARGUMENTS = 2, /* a program, by its path or name, and its arguments */
};

enum agent_execute_flag {
	AGENT_EXECUTE_FRESH = 1,    /* in a namespace of its own; what the session has, and its numbers, stay alone */
	AGENT_EXECUTE_NO_TRACE = 2, /* in the session's namespace, but names, numbers and history are as before after it
	                               * (Python; Node takes no notice) */
	AGENT_EXECUTE_ERROR_DATA = 4, /* an exception is told as a DISPLAY with AGENT_MIME_ERROR, not on stderr */
	AGENT_EXECUTE_FLAGS = 7,      /* all of them */
};

/* Who a restored guest is. */
enum agent_identity {
	AGENT_IDENTITY_NEW = 1,  /* a machine of its own: a new boot ID and machine ID */
	AGENT_IDENTITY_KEEP = 2, /* the machine that was saved, which goes on: it keeps both */
};

enum agent_outcome {
	AGENT_OK = 0,          /* the code ran to its end */
	AGENT_ERROR = 1,       /* it raised; the traceback went to stderr */
	AGENT_TIMEOUT = 2,     /* the time limit passed and the code was interrupted */
	AGENT_INTERRUPTED = 3, /* by AGENT_INTERRUPT or a closed connection */
	AGENT_LOST = 4,        /* the interpreter died: exit, signal, out of memory; the sentence says which */
	AGENT_REFUSED = 5,     /* it never ran: another one is running, or the request makes no sense */
};

/*
 * A MIME bundle is u16 count, then for each entry u16 length and the MIME type, u32 length and the data. Data of text
 * types is UTF-8; images are raw bytes, not base64.
 *
 * AGENT_MIME_SCALAR holds the JSON text of a value that is a number, a boolean or a string; null for a float that JSON
 * cannot hold. An integer has all its digits, a float its shortest round-trip form.
 *
 * AGENT_MIME_ERROR, alone in its bundle, holds an exception as JSON: {"ename", "evalue", "traceback": [text, …]}.
 */
#define AGENT_MIME_SCALAR "application/vnd.hearth.scalar+json"
#define AGENT_MIME_ERROR  "application/vnd.hearth.error+json"

#endif
