/* sock.h - what the kernel knows about a connection. 0 for what it does not tell. */
#ifndef SERVER_SOCK_H
#define SERVER_SOCK_H

#include <stdint.h>

/* Bytes that came in and were not read, and that were written and not taken by the other side. */
uint64_t sock_unread(int fd);
uint64_t sock_unsent(int fd);

/* Bytes read from it, and bytes that the other side has taken, since it was opened. */
uint64_t sock_n_read(int fd);
uint64_t sock_n_taken(int fd);

#endif
