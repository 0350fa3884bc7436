/* Touches every register of every device with every width, and the addresses around them; only what ends a VM is spared. */
#include "tests/guests/guest.h"

/* Windows of 4 KiB: the devices, some of what is between them, the interrupt controllers' neighbours, the top of 4 GiB. */
static const uint64_t windows[] = { 0xc0000000, 0xd0000000, 0xd0002000, 0xd0003000, 0xd000f000, 0xd0010000,
				    0xd0011000, 0xd0012000, 0xd0013000, 0xd001f000, 0xd0100000, 0xe0000000,
				    0xfebff000, 0xfed00000, 0xfffbc000, 0xfffff000 };

static void touch(uint64_t address, unsigned width, uint64_t value)
{
	switch (width) {
	case 1:
		*(volatile uint8_t *)address = (uint8_t)value;
		(void)*(volatile uint8_t *)address;
		break;
	case 2:
		*(volatile uint16_t *)address = (uint16_t)value;
		(void)*(volatile uint16_t *)address;
		break;
	case 4:
		*(volatile uint32_t *)address = (uint32_t)value;
		(void)*(volatile uint32_t *)address;
		break;
	default:
		*(volatile uint64_t *)address = value;
		(void)*(volatile uint64_t *)address;
		break;
	}
}

int main(void)
{
	static const uint64_t values[] = { 0, 1, 0x80000000, UINT64_MAX };

	for (unsigned w = 0; w < sizeof(windows) / sizeof(windows[0]); w++)
		for (unsigned width = 1; width <= 8; width *= 2)
			for (uint64_t offset = 0; offset < 0x400; offset += w < 6 ? width : 64)
				for (unsigned v = 0; v < 4; v++)
					/* The console would only be long. */
					if (windows[w] != SERIAL || offset >= 8)
						touch(windows[w] + offset, width, values[v]);
	/* Across the end of a window. */
	touch(0xd0010ffe, 4, 1);
	touch(0xd0010fff, 8, 1);
	print("all registers\n");
	reset();
	wait_for_the_end();
	return 0;
}
