/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LAB_INIT_H
#define LAB_INIT_H

#define TOKEN_SIZE 32

/* Serve one client on its connection: run its command, pass streams and signals, end it when the client goes. */
_Noreturn void session_serve(int socket_fd, const char token[TOKEN_SIZE]);

#endif
