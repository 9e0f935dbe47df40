/* notify.h - tell the service manager how we are (the sd_notify protocol). */
#ifndef SERVER_NOTIFY_H
#define SERVER_NOTIFY_H

#include <stdint.h>

/* Send "READY=1", "STOPPING=1", "WATCHDOG=1" or "STATUS=...", several divided by newlines.
 * Does nothing if no service manager listens. */
__attribute__((format(printf, 1, 2))) void notify_send(const char *fmt, ...);

/* How often the service manager wants to hear WATCHDOG=1, in ms; 0: it does not. */
uint64_t notify_watchdog_ms(void);

#endif
