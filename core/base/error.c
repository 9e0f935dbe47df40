#include "supernet/supernet.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/base.h"

SN_EXPORT const char *sn_version(void)
{
    return SN_VERSION;
}

SN_EXPORT const char *sn_status_text(sn_status code)
{
    static const char *const text[] = {
#define X(name, text) text,
        SN_STATUS_MAP(X)
#undef X
    };

    return (unsigned)code < SN_STATUS_COUNT ? text[code] : "unknown status";
}

SN_EXPORT sn_status sn_fail(sn_error *err, sn_status code, const char *where, const char *fmt, ...)
{
    if (err && err->code == SN_OK) {
        va_list ap;

        va_start(ap, fmt);
        err->code = code;
        snprintf(err->where, sizeof err->where, "%s", where ? where : "");
        vsnprintf(err->text, sizeof err->text, fmt, ap);
        va_end(ap);
    }
    return code;
}

sn_status fail_foreign(sn_error *err, sn_status rc, const char *where, const char *what)
{
    if (rc == SN_OK) return SN_OK;
    if ((unsigned)rc >= SN_STATUS_COUNT) rc = SN_E_INVALID;
    if (err && (unsigned)err->code >= SN_STATUS_COUNT) err->code = rc;
    return sn_fail(err, rc, where, "%s gave up without saying why", what);
}
