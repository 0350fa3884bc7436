/* What prefetch.c and prefetch_guest.S agree on. */
#ifndef HEARTH_VMM_X86_PREFETCH_GUEST_H
#define HEARTH_VMM_X86_PREFETCH_GUEST_H

#define PREFETCH_BASE      0xd0003000 /* MACHINE_PREFETCH_BASE */
#define PREFETCH_TABLES    (PREFETCH_BASE + 0x1000)
#define PREFETCH_SIZE      0x7000
#define PREFETCH_DONE_PORT 0x80

#endif
