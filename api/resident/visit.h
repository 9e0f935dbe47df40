/* visit: the supernet that a call is about, from finding it to letting it go. */
#ifndef API_RESIDENT_VISIT_H
#define API_RESIDENT_VISIT_H

#include "http/call.h"
#include "resident/resident.h"

/* {m} of the path, into call->model; 404. */
enum problem_code api_find_model(struct call *call);

/* Before the call changes anything of its model: nobody replaces the model until the call is over,
 * or lets go. Fails if that has happened already; the call then begins again with the new one. */
enum problem_code api_hold(struct call *call);
void              api_let_go(struct call *call);

/* For the log: "model=digits subnet=9f3a". */
void api_note(struct call *call, const sn_subnet *subnet);

#endif
