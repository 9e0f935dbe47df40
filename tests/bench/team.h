/* team.h: a second thread that stays, as an sn_parallel. */
#ifndef BENCH_TEAM_H
#define BENCH_TEAM_H

#include <supernet/supernet.h>

/* A team of two, started with the first call and never ended. One caller at a time. */
const sn_parallel *bench_team(void);

#endif
