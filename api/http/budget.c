/* budget: calls of the library that take memory as they go.
 *
 * Before such a call as much is charged as it may take at most, if there is that much, and the
 * library is given this as its limit; behind it what is really held stays charged. */
#include "http/budget.h"

bool api_budget_stopped(void *cls)
{
    return cls && atomic_load_explicit((const atomic_bool *)cls, memory_order_relaxed);
}

enum problem_code api_fail_budget(struct problem *p, const struct budget *b,
                                  enum account_purpose purpose, size_t got, size_t most,
                                  const sn_error *err, const char *what)
{
    const size_t limit = account_limit(b->account, purpose);

    if (err->code != SN_E_LIMIT || got >= most) return api_fail_library(p, err, NULL);
    if (got >= limit - limit / 16) /* hardly anything is anybody else's */
        return api_fail(p, P_LIMIT, err->where,
                        "%s takes more than the %zu bytes that memory-limit leaves", what, limit);
    return api_fail(p, P_BUSY, err->where,
                    "%s takes more than %zu bytes, and of the %zu that memory-limit leaves others "
                    "hold too many now; try again later",
                    what, got, limit);
}
