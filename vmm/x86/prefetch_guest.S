/*
 * What the spare vCPU of prefetch.c runs, as it lies at MACHINE_PREFETCH_BASE: a page of code, and page tables that map
 * the first 4 GiB to themselves, with all accessed and dirty bits set, so that nobody has a reason to write them. The
 * pages are the executable's, shared by all VMMs until one is written.
 *
 * rsi: the list of page numbers (u32), rcx: its length, not 0.
 */
#include "vmm/x86/prefetch_guest.h"

#define TABLE(page) (PREFETCH_BASE + (page) * 0x1000 + 0x23) /* present, writable, accessed */
#define LARGE       0xe3                                     /* likewise, dirty, 2 MiB */

	.section .data.prefetch, "aw"
	.globl prefetch_guest
	.balign 4096
prefetch_guest:
	.code64
1:	lodsl
	shl $12, %rax
	movb (%rax), %dl
	loop 1b
	out %al, $PREFETCH_DONE_PORT
	hlt

	.balign 4096
	.quad TABLE(2)
	.balign 4096
	.quad TABLE(3), TABLE(4), TABLE(5), TABLE(6)
	.balign 4096
	.set address, 0
	.rept 2048
	.quad address + LARGE
	.set address, address + 0x200000
	.endr

	.section .note.GNU-stack, "", @progbits
