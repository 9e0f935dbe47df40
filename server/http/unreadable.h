/* unreadable: errors that the HTTP library finds by itself, answered as all others are. */
#ifndef SERVER_HTTP_UNREADABLE_H
#define SERVER_HTTP_UNREADABLE_H

#include <microhttpd.h>

/* What sends a reply of ours: the library's own MHD_queue_response(), see unreadable.c. */
typedef enum MHD_Result unreadable_queue(struct MHD_Connection *conn, unsigned status,
                                         struct MHD_Response *response);

/* NULL if the library does not have it. */
void *unreadable_find_queue(void);

#endif
