/* sock: a file of its own, since <linux/tcp.h> cannot stand beside <netinet/tcp.h>, which
 * comes with <uv.h> and does not know how many bytes went through a connection. */
#include "http/sock.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static uint64_t ask(int fd, unsigned long what)
{
    int n = 0;

    return ioctl(fd, what, &n) == 0 && n > 0 ? (uint64_t)n : 0;
}

uint64_t sock_unread(int fd)
{
    return ask(fd, SIOCINQ);
}

uint64_t sock_unsent(int fd)
{
    return ask(fd, SIOCOUTQ);
}

struct sock_figures sock_figures(int fd)
{
    struct sock_figures f = {.unread = sock_unread(fd)}; /* first: what comes now counts as read */
    struct tcp_info     info = {0};
    socklen_t           n = sizeof info;

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n)) return f;
    f.n_read = info.tcpi_bytes_received > f.unread ? info.tcpi_bytes_received - f.unread : 0;
    f.n_taken = info.tcpi_bytes_acked;
    return f;
}
