/* Asks for a reset by the keyboard controller's port. */
#include "guest.h"

int main(void)
{
	print("before the reset\n");
	if (inb(0x64) != 0)
		fail("the reset port is not ready");
	outb(0x64, 0xff); /* another command is none of its business */
	reset();
	wait_for_the_end();
	return 0;
}
