/* process: what the system knows of this process. */
#ifndef API_DAEMON_PROCESS_H
#define API_DAEMON_PROCESS_H

#include "http/buf.h"

void api_put_process(struct api_buf *b);

#endif
