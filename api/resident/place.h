/* place: files of a supernet's folder. */
#ifndef API_RESIDENT_PLACE_H
#define API_RESIDENT_PLACE_H

#include "http/problem.h"

/* Open dir/file for reading, without waiting for anything, and write where into path[PATH_MAX].
 * With `below` (without links itself, the start of `dir`) nothing outside of it is opened. What it
 * is, the caller has to look at: any kind of file can be there. */
enum problem_code api_place_open(const char *dir, const char *file, const char *below, char *path,
                                 int *ret_fd, struct problem *p);

#endif
