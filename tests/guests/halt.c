/* Halts with interrupts off: nothing in the guest will ever wake it. */
#include "guest.h"

int main(void)
{
	print("halting\n");
	for (;;)
		__asm__ volatile("cli; hlt");
	return 0;
}
