/* Entered in long mode with the first GiB mapped: maps 4 GiB, so that devices can be reached, and calls main(). */
	.globl start
	.text
start:
	cli
	lea	stack_end(%rip), %rsp
	/* Page directories: 2,048 pages of 2 MiB, present, writable. */
	lea	directories(%rip), %rdi
	mov	$0x83, %eax
	mov	$2048, %ecx
1:	mov	%rax, (%rdi)
	add	$0x200000, %rax
	add	$8, %rdi
	dec	%ecx
	jnz	1b
	lea	pointers(%rip), %rdi
	lea	directories + 3(%rip), %rax
	mov	$4, %ecx
2:	mov	%rax, (%rdi)
	add	$0x1000, %rax
	add	$8, %rdi
	dec	%ecx
	jnz	2b
	lea	pointers + 3(%rip), %rax
	mov	%rax, level4(%rip)
	lea	level4(%rip), %rax
	mov	%rax, %cr3
	call	main
3:	hlt
	jmp	3b

	.bss
	.balign	4096
level4:	.skip	4096
pointers: .skip	4096
directories: .skip 4 * 4096
stack:	.skip	16384
stack_end:

	.section .note.GNU-stack, "", @progbits
