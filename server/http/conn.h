/* conn.h - one HTTP request from its first line to the end of its reply. */
#ifndef SERVER_HTTP_CONN_H
#define SERVER_HTTP_CONN_H

#include "http/httpd.h"

#include <microhttpd.h>

/* Callbacks of the HTTP daemon; `cls` is the struct httpd. */
void           *conn_on_uri(void *cls, const char *uri, struct MHD_Connection *conn);
enum MHD_Result conn_on_request(void *cls, struct MHD_Connection *conn, const char *url,
                                const char *method, const char *version, const char *part,
                                size_t *n_part, void **ret_job);
void            conn_on_completed(void *cls, struct MHD_Connection *conn, void **ret_job,
                                  enum MHD_RequestTerminationCode code);

/* On a worker: compute one job. `cls` is the struct httpd, of which it reads `api` only. */
void conn_run(void *cls, struct api_worker *worker, struct pool_job *job);

/* On the loop: done jobs go back to their connections. The caller gives a turn. */
void conn_finish(struct httpd *h, struct pool_job *list);

/* The client that waits for this request has left. */
void conn_left(void *cls, void *job);

/* A request whose time is over. */
void conn_expire(void *cls, struct due *due);

/* What the HTTP library could not read, and answers itself; false if nothing is known of it. */
enum { CONN_ID_BYTES = 68 };
struct conn_unreadable {
    struct httpd           *h;
    int                     fd;
    const struct api_route *route; /* NULL: it did not get that far */
    char                    id[CONN_ID_BYTES];
};
bool conn_is_unreadable(struct MHD_Connection *conn, struct conn_unreadable *ret);

#endif
