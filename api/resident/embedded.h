/* embedded: files that travel inside the program. */
#ifndef API_RESIDENT_EMBEDDED_H
#define API_RESIDENT_EMBEDDED_H

#include <stddef.h>

struct embedded {
    const char *at;
    size_t      n;
};
struct embedded api_embedded_openapi(void);
struct embedded api_embedded_demo_spec(void);
struct embedded api_embedded_demo_weights(void);

#endif
