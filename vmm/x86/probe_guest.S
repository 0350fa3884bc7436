/*
 * The guest that probe.c runs. Position-independent; loaded at PROBE_CODE. In: edi is the number of turns. Out, when it
 * writes to port 0xf4: rbx is 8 (or the last stage that was reached), r12 and r13 the cycles of the loop in ring 0 and
 * in ring 3.
 */
	.section .rodata
	.globl probe_guest, probe_guest_syscall, probe_guest_page_fault, probe_guest_end
probe_guest:
	mov	$1, %ebx
	call	timed_loop
	mov	%rax, %r12

	mov	$2, %ebx		/* to ring 3: ss, rsp, rflags, cs, rip */
	push	$0x23
	push	$0x11000
	push	$2
	push	$0x2b
	lea	ring3(%rip), %rax
	push	%rax
	iretq

ring3:
	mov	$3, %ebx
	call	timed_loop
	mov	%rax, %r13

	mov	$4, %ebx
	syscall				/* makes it 5 */
	cmp	$5, %ebx
	jne	broken

	mov	$6, %ebx
	mov	$0x200000, %esi
	movb	(%rsi), %al		/* two bytes; not mapped; makes it 7 */
	cmp	$7, %ebx
	jne	broken
	syscall				/* the end */
broken:
	ud2

probe_guest_syscall:
	cmp	$7, %ebx
	je	1f
	mov	$5, %ebx
	sysretq
1:	mov	$8, %ebx
	out	%al, $0xf4
	ud2

probe_guest_page_fault:
	mov	%cr2, %rax
	cmp	$0x200000, %rax
	jne	broken
	testb	$4, (%rsp)		/* the error code: from ring 3? */
	jz	broken
	add	$8, %rsp
	addq	$2, (%rsp)		/* go on behind the instruction */
	mov	$7, %ebx
	iretq

/* The shortest of three runs in cycles, in rax. */
timed_loop:
	mov	$-1, %r8
	mov	$3, %r9d
1:	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	mov	%rax, %r10
	mov	%edi, %ecx
2:	dec	%ecx
	jnz	2b
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	sub	%r10, %rax
	cmp	%r8, %rax
	cmovb	%rax, %r8
	dec	%r9d
	jnz	1b
	mov	%r8, %rax
	ret
probe_guest_end:

	.section .note.GNU-stack, "", @progbits
