/* Touches ports and addresses that nobody owns. */
#include "guest.h"

int main(void)
{
	outb(0x80, 1);
	outb(0x43, 0x34);
	if (inb(0x71) != 0xff || inb(0x40) != 0xff || inb(0x3f8) != 0xff)
		fail("an unknown port does not read as all ones");
	write32(0xd0f00000, 1);
	if (read32(0xd0f00000) != 0xffffffff || read32(0xc0000000) != 0xffffffff)
		fail("an unknown address does not read as all ones");
	print("nothing there\n");
	reset();
	wait_for_the_end();
	return 0;
}
