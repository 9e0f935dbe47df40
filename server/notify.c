/* notify: datagrams to the socket named by NOTIFY_SOCKET.
 *
 * The protocol is one datagram of VARIABLE=value lines; a path that starts
 * with '@' is in the abstract name space, where the '@' stands for a NUL. */
#include "notify.h"

#include "log/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void notify_send(const char *fmt, ...)
{
    const char        *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    char               text[512];
    socklen_t          n_to;
    va_list            ap;
    size_t             n;
    int                fd;

    if (!path || !path[0]) return;
    n = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || n >= sizeof to.sun_path) {
        log_event(LOG_WARN, "notify", "NOTIFY_SOCKET=%s is no socket path", path);
        return;
    }
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);

    memcpy(to.sun_path, path, n);
    n_to = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (path[0] == '/'));
    if (path[0] == '@') to.sun_path[0] = 0;

    /* Non-blocking: a service manager that does not read must not stop the loop. */
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&to, n_to) < 0)
        log_event(LOG_WARN, "notify", "cannot tell the service manager: %s", strerror(errno));
    if (fd >= 0) close(fd);
}

uint64_t notify_watchdog_ms(void)
{
    const char        *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    unsigned long long n;
    char              *end;

    if (!usec || !getenv("NOTIFY_SOCKET")) return 0;
    if (pid && strtoll(pid, NULL, 10) != (long long)getpid()) return 0; /* meant for another */
    n = strtoull(usec, &end, 10);
    if (end == usec || *end) return 0;
    return n / 2000 ? n / 2000 : 1; /* twice as often as needed, as its manual advises */
}
