/* unreadable: see unreadable.h. */
#define _GNU_SOURCE /* RTLD_NEXT */
#include "http/unreadable.h"

#include "http/conn.h"
#include "log/log.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

void *unreadable_find_queue(void)
{
    return dlsym(RTLD_NEXT, "MHD_queue_response");
}

/* What we say instead: the library may know more kinds than these. */
struct below {
    unsigned    status;
    const char *word, *text;
};

static struct below error_below(unsigned status)
{
    static const struct below known[] = {
        {413, "too_large", "a size is no number that can be counted to"},
        {414, "uri_too_long", "the first line of the request is too long"},
        {431, "headers_too_large", "the headers of the request are too long"},
        {505, "http_version", "the version is neither HTTP/1.0 nor HTTP/1.1"},
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].status == status) return known[i];
    if (status >= 500) return (struct below){503, "busy", "there is no room for the request"};
    return (struct below){
        400, "malformed",
        "this is no HTTP: a line, a length or a chunk of the request is malformed"};
}

/* What the client has sent is thrown away first: closing a socket with something unread in it
 * resets the connection, and the answer may be lost. */
static void send_and_end(int fd, const char *head, const struct api_response *r)
{
    struct iovec  part[2] = {{(void *)head, strlen(head)}, {r->body, r->n_body}};
    struct msghdr message = {.msg_iov = part, .msg_iovlen = 2};
    char          unread[16 << 10];

    for (int i = 0; i < 16 && recv(fd, unread, sizeof unread, MSG_DONTWAIT) > 0; i++)
        ;
    /* Small, and on a connection that no answer is on the way on: it fits, or nobody reads. */
    if (sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) return;
}

/* The library answers what it cannot read with a page of HTML, without the request's id, and has
 * no hook for that. But it hands the page to its own MHD_queue_response(), and a program's
 * function of this name is found before a library's: so it comes here. The page is replaced by our
 * document and sent at once; MHD_NO makes the library close the connection, without a second
 * answer, which it sends after some of these errors. What we answer ourselves does not come here.
 */
__attribute__((visibility("default"))) enum MHD_Result
MHD_queue_response(struct MHD_Connection *conn, unsigned status, struct MHD_Response *page)
{
    struct conn_unreadable u;
    struct api_response    r;
    struct log_line        l;
    const struct below     e = error_below(status);
    char                   head[512];

    (void)page;
    if (!conn_is_unreadable(conn, &u)) return MHD_NO;
    api_problem((int)e.status, e.word, "", e.text, u.id, &r);
    snprintf(head, sizeof head,
             "HTTP/1.1 %u %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
             "X-Request-Id: %s\r\n%sConnection: close\r\n\r\n",
             e.status, MHD_get_reason_phrase_for(e.status), r.content_type, r.n_body, u.id,
             e.status == 503 ? "Retry-After: 1\r\n" : "");
    send_and_end(u.fd, head, &r);
    api_response_fini(&r);
    api_count_reply(u.h->api, u.route, (int)e.status);
    if (log_begin(&l, LOG_INFO, "malformed")) {
        log_text(&l, "request", u.id);
        log_int(&l, "status", e.status);
        log_text(&l, "text", e.text);
        log_end(&l);
    }
    return MHD_NO;
}
