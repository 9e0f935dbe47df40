/* embedded: files that travel inside the program, so that it serves its contract
 * and the demo wherever it is started. The paths are those of the source tree. */
#include "resident/embedded.h"

#define EMBED(symbol, path)                                                                        \
    __asm__(".pushsection .rodata\n"                                                               \
            ".balign 64\n"                                                                         \
            ".hidden " #symbol "\n"                                                                \
            ".globl " #symbol "\n" #symbol ":\n"                                                   \
            ".incbin \"" path "\"\n"                                                               \
            ".hidden " #symbol "_end\n"                                                            \
            ".globl " #symbol "_end\n" #symbol "_end:\n"                                           \
            ".byte 0\n"                                                                            \
            ".popsection\n");                                                                      \
    extern const char symbol[], symbol##_end[]

EMBED(embedded_openapi, "api/openapi.json");
EMBED(embedded_demo_spec, "deploy/demo/spec.json");
EMBED(embedded_demo_weights, "deploy/demo/weights.safetensors");

#undef EMBED

struct embedded api_embedded_openapi(void)
{
    return (struct embedded){embedded_openapi, (size_t)(embedded_openapi_end - embedded_openapi)};
}

struct embedded api_embedded_demo_spec(void)
{
    return (struct embedded){embedded_demo_spec,
                             (size_t)(embedded_demo_spec_end - embedded_demo_spec)};
}

struct embedded api_embedded_demo_weights(void)
{
    return (struct embedded){embedded_demo_weights,
                             (size_t)(embedded_demo_weights_end - embedded_demo_weights)};
}
