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
 * Ingress: each connection of the host to AGENT_INGRESS_PORT is one TCP connection to the target port of the guest's
 * container. The agent sends one byte first: 0 when it is connected, else an errno value, and closes. Then bytes go both
 * ways, and each way ends by itself. At most 256 connections.
 *
 * Neither side trusts the other: a frame that is too long, of an unknown type or with a body that does not decode ends
 * the connection.
 */
#ifndef HEARTH_COMMON_AGENT_PROTOCOL_H
#define HEARTH_COMMON_AGENT_PROTOCOL_H

#include <stdint.h>

enum {
	AGENT_PROTOCOL_VERSION = 6,
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
};

/* Of AGENT_FILE_READ. */
#define AGENT_FILE_FROM_END UINT64_MAX /* as offset: the bytes wanted are the last ones */
#define AGENT_FILE_TO_END   UINT64_MAX /* as length: all from the offset on */

enum agent_frame_type {
	/* host to agent */
	AGENT_EXECUTE =
		1, /* u8 agent_language, u8 flags (enum agent_execute_flag), u16 0, u32 timeout_ms (0: none), u64 output_limit (bytes of
	                      * each of stdout and stderr that are sent), then the code, UTF-8, to the end of the body */
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
	AGENT_DONE = 22,    /* u8 agent_outcome, u8 1 if the interpreter's state was lost, u16 0, u64 microseconds that
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
	AGENT_FILE_CUT = 8,        /* all is well, but the folder has more than AGENT_FILE_ENTRIES_MAX entries */
};

enum agent_language {
	AGENT_PYTHON = 1,
	AGENT_NODE = 2,
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
