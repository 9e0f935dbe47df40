/* options: structs that can grow, from callers that were compiled with another header. */
#include <string.h>

#include "base/base.h"

void options_read(void *to, size_t n_bytes, const void *from)
{
    size_t size = 0;

    if (from) memcpy(&size, from, sizeof size);
    memset(to, 0, n_bytes);
    if (size > 0) memcpy(to, from, size < n_bytes ? size : n_bytes);
    memcpy(to, &n_bytes, sizeof n_bytes);
}
