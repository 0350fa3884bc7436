/* Every target is linked with this: what a hostile peer makes Hearth say would be most of the fuzzer's time. */
#include "common/log.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_threshold(LOG_ERROR);
	return 0;
}
