/* Panics as Linux does: a line on the console, then pvpanic. */
#include "guest.h"

int main(void)
{
	if (*(volatile uint8_t *)PVPANIC != 1)
		fail("pvpanic does not say what it takes");
	print("[    0.1] Kernel panic - not syncing: as the test wants it\n");
	print("[    0.2] more text\n");
	write8(PVPANIC, 1);
	wait_for_the_end();
	return 0;
}
