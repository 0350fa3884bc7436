/* Where boot structures lie in a guest's memory; all of it is the kernel's once it runs. */
#ifndef HEARTH_VMM_X86_LAYOUT_H
#define HEARTH_VMM_X86_LAYOUT_H

#include "vmm/machine.h"

#define BOOT_GDT          0x500ULL
#define BOOT_PARAMS       0x7000ULL
#define BOOT_STACK        0x8ff0ULL
#define BOOT_PML4         0x9000ULL
#define BOOT_PDPT         0xa000ULL
#define BOOT_PD           0xb000ULL
#define BOOT_CMDLINE      0x20000ULL
#define BOOT_CMDLINE_MAX  2048 /* bytes with the NUL: what x86 kernels keep */
#define BOOT_SETUP_DATA   0x40000ULL
#define BOOT_LOW_RAM_END  0x9fc00ULL
#define BOOT_KERNEL_FIRST MIB
#define BOOT_MAPPED_END   GIB /* of the identity map that the kernel starts on */

#define BOOT_CODE_SELECTOR 0x10
#define BOOT_DATA_SELECTOR 0x18

#endif
