#include "vmm/capabilities.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct __user_cap_data_struct capability_sets[_LINUX_CAPABILITY_U32S_3];

static bool get(capability_sets sets)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(SYS_capget, &header, sets) == 0;
}

static bool set(const capability_sets sets)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(SYS_capset, &header, sets) == 0;
}

bool capability_has(int capability)
{
	capability_sets sets;

	return get(sets) && (sets[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability));
}

bool capability_suspend(int capability)
{
	capability_sets sets;

	if (!capability_has(capability) || !get(sets))
		return false;
	sets[CAP_TO_INDEX(capability)].effective &= ~CAP_TO_MASK(capability);
	return set(sets);
}

void capability_resume(int capability)
{
	capability_sets sets;

	if (!get(sets))
		return;
	sets[CAP_TO_INDEX(capability)].effective |= CAP_TO_MASK(capability);
	set(sets);
}

bool capabilities_drop(void)
{
	capability_sets none = { 0 };
	bool is_empty = true;

	/* Ends at the first number that the kernel does not know. Without CAP_SETPCAP it cannot be done, nor does it matter. */
	for (unsigned long capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
		prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (!set(none) || !get(none))
		return false;
	for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		is_empty = is_empty && !none[i].effective && !none[i].permitted && !none[i].inheritable;
	return is_empty;
}
