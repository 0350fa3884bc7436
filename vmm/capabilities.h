/* Capabilities of this process (capabilities(7)), by the system calls themselves. */
#ifndef HEARTH_VMM_CAPABILITIES_H
#define HEARTH_VMM_CAPABILITIES_H

#include <stdbool.h>
#include <stdint.h>

/* Whether the capability (CAP_*) is in effect. */
bool capability_has(int capability);

/* Takes one out of effect, to be resumed later; false if it was not in effect. */
bool capability_suspend(int capability);
void capability_resume(int capability);

/* Gives all of them up for good: effective, permitted, inheritable, ambient and bounding. True if none is left. */
bool capabilities_drop(void);

#endif
