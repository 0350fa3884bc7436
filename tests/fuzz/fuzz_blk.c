/* The disk against a driver that does anything. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/virtio_driver.h"
#include "vmm/virtio/blk.h"

#include <sys/mman.h>
#include <unistd.h>

static struct virtio_device *open_disk(void)
{
	int fd = memfd_create("disk", MFD_CLOEXEC);

	return ftruncate(fd, 1 << 20) == 0 ? virtio_blk_create_over(fd, 2048, false, 0) : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct virtio_driver f;

	FUZZ_CHECK(virtio_driver_open(&f));
	virtio_driver_attach(&f, open_disk());
	f.choices = (struct choices) { data, size };
	while (!choices_are_over(&f.choices))
		virtio_driver_do(&f);
	virtio_driver_close(&f);
	return 0;
}
