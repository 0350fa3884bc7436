/* What an agent says, as hearthd hears it: frames in pieces of any size, and every body. */
#include "api/agent_frames.h"
#include "api/mime_bundle.h"
#include "tests/fuzz/choices.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static void decode_bundle(const uint8_t *body, size_t size)
{
	struct mime_bundle bundle;

	if (mime_bundle_decode(&bundle, body, size) < 0)
		return;
	FUZZ_CHECK(bundle.n_entries >= 1 && bundle.n_entries <= AGENT_MIME_ENTRIES_MAX);
	for (size_t i = 0; i < bundle.n_entries; i++) {
		FUZZ_CHECK(bundle.entries[i].data >= body &&
			   bundle.entries[i].data + bundle.entries[i].size <= body + size);
		FUZZ_CHECK(mime_bundle_find(&bundle, bundle.entries[i].type));
	}
	mime_bundle_image(&bundle);
}

/* Each body with each decoder: an agent may put anything anywhere. */
static void decode(const uint8_t *body, size_t size)
{
	char sentence[AGENT_SENTENCE_MAX + 1];
	static struct agent_file_info info;
	enum agent_file_status status;
	struct agent_ready ready;
	struct agent_done done;

	agent_ready_decode(&ready, body, size);
	if (agent_done_decode(&done, body, size) == 0)
		FUZZ_CHECK(done.outcome <= AGENT_REFUSED && strlen(done.sentence) <= AGENT_SENTENCE_MAX);
	if (agent_file_info_decode(&info, body, size) == 0)
		FUZZ_CHECK(strlen(info.path) <= AGENT_FILE_PATH_MAX);
	agent_file_done_decode(&status, sentence, body, size);
	agent_sentence_decode(sentence, body, size);
	FUZZ_CHECK(strlen(sentence) <= AGENT_SENTENCE_MAX);
	decode_bundle(body, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct choices c = { data, size };
	const size_t piece = 1 + choose_below(&c, 64);
	struct agent_frames frames = { 0 };
	int rc = 0;

	decode(c.data, c.size);
	while (c.size > 0 && rc >= 0) {
		const uint8_t *bytes;
		size_t n;

		bytes = choose_bytes(&c, piece, &n);
		while ((rc = agent_frames_feed(&frames, &bytes, &n)) == 1)
			decode(frames.body, frames.size);
	}
	agent_frames_fini(&frames);
	return 0;
}
