/* sock.h - what the kernel knows about a connection. 0 for what it does not tell. */
#ifndef SERVER_HTTP_SOCK_H
#define SERVER_HTTP_SOCK_H

#include <stdint.h>

/* Since it was opened. */
struct sock_figures {
    uint64_t unread;  /* bytes that came in and wait to be read */
    uint64_t n_read;  /* bytes that were read */
    uint64_t n_taken; /* bytes that the other side has taken */
};

struct sock_figures sock_figures(int fd);

/* Bytes that wait to be read, and to be taken by the other side. */
uint64_t sock_unread(int fd);
uint64_t sock_unsent(int fd);

#endif
