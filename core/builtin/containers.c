/* containers: all of them, in the order in which they are listed to users. */
#include "structure/structure.h"

static const struct structure *const structures[] = {
    &structure_sequential, &structure_graph, &structure_layer_choice, &structure_input_choice,
    &structure_repeat,     &structure_cell,  &structure_nasbench101,  &structure_nasbench201,
};

const struct structure *structure_at(size_t i)
{
    return i < COUNT(structures) ? structures[i] : NULL;
}
