/* structure: containers, which decide how their children are wired and which of them
 * live. A row here says how one is read; the rest of the library works on struct module. */
#ifndef STRUCTURE_STRUCTURE_H
#define STRUCTURE_STRUCTURE_H

#include "document/build.h"

extern const struct structure structure_sequential;
extern const struct structure structure_graph;
extern const struct structure structure_layer_choice;
extern const struct structure structure_input_choice;
extern const struct structure structure_repeat;
extern const struct structure structure_cell;
extern const struct structure structure_nasbench101;
extern const struct structure structure_nasbench201;

#endif
